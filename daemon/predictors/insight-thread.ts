import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../core/clock.js';
import { asHildaError } from '../core/errors.js';
import { noParts } from '../plugins/pure-parts.js';
import { openPredictor } from './open-predictor.js';
import { type InsightJob, insightOf } from './predictor-insight.js';

/** Fits a predictor apart from the daemon's own thread, and sends what there is to show of it. */
const { record, others, plugins } = workerData as InsightJob;
try {
  // Most daemons have no plug-ins: their threads load no code for them.
  const parts =
    plugins.length === 0
      ? noParts
      : await (await import('../plugins/load-pure-parts.js')).loadPureParts(plugins, systemClock);
  parentPort?.postMessage({ insight: insightOf(openPredictor(record, others, parts)) });
} catch (thrown) {
  const { code, message, details } = asHildaError(thrown);
  parentPort?.postMessage({ fault: { code, message, details } });
}

import { parentPort, workerData } from 'node:worker_threads';
import { asHildaError } from '../core/errors.js';
import { openPredictor } from './open-predictor.js';
import { type InsightJob, insightOf } from './predictor-insight.js';

/** Fits a predictor apart from the daemon's own thread, and sends what there is to show of it. */
const { record, others } = workerData as InsightJob;
try {
  parentPort?.postMessage({ insight: insightOf(openPredictor(record, others)) });
} catch (thrown) {
  const { code, message, details } = asHildaError(thrown);
  parentPort?.postMessage({ fault: { code, message, details } });
}

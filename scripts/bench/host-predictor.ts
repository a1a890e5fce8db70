/**
 * Prediction of this host's latency from few measurements: `npm run bench -- host-predictor [--samples N] [--test N] [--spaces
 * A,B] [--protocol NAME]`. For each space N random networks are measured and learnt, others asked about. `within10`: the
 * smaller share over spaces of predictions within 10 % of the measurement.
 */
import { parseArgs } from 'node:util';
import type { Architecture } from '../../daemon/core/architecture.js';
import { architectureId } from '../../daemon/core/architecture.js';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { loadProtocol } from '../../daemon/measure/protocols.js';
import { PickedPredictor } from '../../daemon/predict/picked.js';
import { costViews } from '../../daemon/search/spaces/parts/cost-views.js';
import { measureLatency, openHost, openSpace } from './parts/measure-spaces.js';
import { scoresOf } from './parts/published-tables.js';

const { values: args } = parseArgs({
  options: {
    samples: { type: 'string', default: '50' },
    test: { type: 'string', default: '30' },
    spaces: { type: 'string', default: 'mbconv-fmnist,vit-fmnist' },
    protocol: { type: 'string', default: 'search' },
    seed: { type: 'string', default: '1' },
  },
});
const { signal } = new AbortController();
const protocol = loadProtocol(args.protocol);
const [samples, tests] = [Number(args.samples), Number(args.test)];
const figures: Record<string, number> = {};
const device = await openHost(signal);
try {
  await device.calibrate?.({ signal });
  for (const name of args.spaces.split(',')) {
    const space = openSpace(name);
    const rng = Xoshiro128.fromSeed(Number(args.seed));
    const rows: { architecture: Architecture; us: number }[] = [];
    const seen = new Set<string>();
    for (let tries = 0; rows.length < samples + tests && tries < 3 * (samples + tests); tries++) {
      const architecture = space.sample(rng);
      const id = architectureId(space.id, architecture);
      if (seen.has(id)) continue;
      seen.add(id);
      const us = await measureLatency(device, space.network(architecture), protocol, signal);
      if (us !== undefined) rows.push({ architecture, us });
    }
    const views = rows.map(({ architecture }) => costViews(space, architecture));
    const measured = rows.map(({ us }) => us);
    const predictor = new PickedPredictor();
    predictor.fit(views.slice(0, samples), measured.slice(0, samples));
    const scores = scoresOf(measured.slice(samples), predictor.predict(views.slice(samples)).mean);
    for (const [key, value] of Object.entries(scores)) figures[`${name}.${key}`] = Number(value.toFixed(4));
    console.log(
      `${name}: ${predictor.report().model}; ${rows.length - samples} asked: within 10 % ${scores.within10.toFixed(3)}, MAPE ${scores.mape.toFixed(2)} %, Spearman ${scores.spearman.toFixed(4)}`,
    );
  }
} finally {
  await device.close();
}
figures.within10 = Math.min(...args.spaces.split(',').map((name) => figures[`${name}.within10`] as number));
console.log(JSON.stringify({ bench: 'host-predictor', figures }));

/**
 * Prediction across spaces on this host: `npm run bench -- cross-space [--networks N] [--protocol NAME]`. Learns from N
 * mbconv networks and N random cells, and is asked about N vision transformers, of which it has seen none. `kendall`: of
 * predicted and measured latency; `kendallMacs`: of multiply-accumulates and measured latency.
 */
import { parseArgs } from 'node:util';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { loadProtocol } from '../../daemon/measure/protocols.js';
import { countCost } from '../../daemon/network/cost.js';
import type { Graph } from '../../daemon/network/graph.js';
import { CrossSpacePredictor } from '../../daemon/predict/cross-space.js';
import { networkViews } from '../../daemon/predict/features/network-views.js';
import { kendall } from '../../daemon/predict/statistics.js';
import { cellNetwork, measureLatency, openHost, openSpace } from './parts/measure-spaces.js';

const { values: args } = parseArgs({
  options: {
    networks: { type: 'string', default: '30' },
    protocol: { type: 'string', default: 'quick' },
    seed: { type: 'string', default: '1' },
  },
});
const count = Number(args.networks);
const rng = Xoshiro128.fromSeed(Number(args.seed));
const { signal } = new AbortController();
const protocol = loadProtocol(args.protocol);
const draw = (name: string, n: number): Graph[] => {
  const space = openSpace(name);
  return Array.from({ length: n }, () => space.network(space.sample(rng)));
};
const half = Math.ceil(count / 2);
const groups: Record<string, Graph[]> = {
  mbconv: [...draw('mbconv-fmnist', count - half), ...draw('mbconv-96', half)],
  cells: Array.from({ length: count }, (_, i) => cellNetwork(rng, `cell${i}`)),
  vit: [...draw('vit-fmnist', count)],
};
const device = await openHost(signal);
const rows: { space: string; network: Graph; us: number }[] = [];
try {
  await device.calibrate?.({ signal });
  for (const [space, networks] of Object.entries(groups)) {
    for (const network of networks) {
      const us = await measureLatency(device, network, protocol, signal);
      if (us !== undefined) rows.push({ space, network, us });
    }
    console.log(`${space}: ${rows.filter((row) => row.space === space).length} of ${networks.length} valid`);
  }
} finally {
  await device.close();
}
const train = rows.filter(({ space }) => space !== 'vit');
const test = rows.filter(({ space }) => space === 'vit');
if (train.length < 20 || test.length < 10) {
  console.error(
    `bench cross-space: ${train.length} valid networks to learn from and ${test.length} to ask about are too few; run it on a quiet machine, or with more --networks`,
  );
  process.exit(1);
}
const predictor = new CrossSpacePredictor();
predictor.fit(
  train.map(({ network }) => networkViews(network)),
  train.map(({ us }) => us),
  train.map(({ space }) => space),
);
const { mean } = predictor.predict(test.map(({ network }) => networkViews(network)));
const measured = test.map(({ us }) => us);
const figures = {
  kendall: kendall(measured, [...mean]),
  kendallMacs: kendall(
    measured,
    test.map(({ network }) => countCost(network).macs),
  ),
  trained: train.length,
  asked: test.length,
};
const { model, elsewhere, kendall: tau } = predictor.report();
console.log(
  `${model}, ${elsewhere} for operators never seen; on left-out training spaces tau ${tau.toFixed(3)}`,
);
console.log(JSON.stringify({ bench: 'cross-space', figures }));

/**
 * `npm run bench -- pretraining [--data DIR] [--seeds N]`: FBNetV3's predictor (Dai et al. 2021) of CIFAR-100 accuracy on
 * NAS-Bench-201's published table (imported values), pretrained on free statistics against not. `kendall<N>.pretrained`,
 * `kendall<N>.plain`: mean Kendall tau over 1,000 cells it has not seen, from N labels drawn at random; `kendall<N>.gain`: mean of the
 * paired differences, `kendall<N>.standardError` theirs.
 */
import { parseArgs } from 'node:util';
import { shuffled, Xoshiro128 } from '../../daemon/core/rng.js';
import { kendall } from '../../daemon/predict/statistics.js';
import { fitFbnetPredictor } from '../../daemon/search/samplers/fbnetv3.js';
import { normalScores } from '../../daemon/search/samplers/learning/bayesian-linear.js';
import { mean, standardError } from './parts/mean.js';
import { type CellValues, openNb201 } from './parts/nb201.js';

const { values: flags } = parseArgs({
  options: {
    data: { type: 'string', default: '../shared/data' },
    seeds: { type: 'string', default: '20' },
    unseen: { type: 'string', default: '1000' },
  },
});
const { space, cells } = openNb201('pretraining', flags.data);
const seeds = Number(flags.seeds);
const all = [...cells].map(([ops, values]: [string, CellValues]) => ({
  cell: [...ops].map(Number),
  accuracy: values.c100_test200 as number,
}));
const figures: Record<string, number> = {};
for (const labels of [25, 50, 100]) {
  const taus: { pretrained: number; plain: number }[] = [];
  for (let seed = 1; seed <= seeds; seed++) {
    const drawn = shuffled(Xoshiro128.fromSeed(seed), all).slice(0, labels + Number(flags.unseen));
    const [train, test] = [drawn.slice(0, labels), drawn.slice(labels)];
    const tau = (pretrain: boolean): number => {
      const predict = fitFbnetPredictor(
        space,
        train.map(({ cell }) => cell),
        normalScores(train.map(({ accuracy }) => accuracy)),
        { pretrain },
      );
      return kendall(
        test.map(({ cell }) => predict(cell)),
        test.map(({ accuracy }) => accuracy),
      );
    };
    taus.push({ pretrained: tau(true), plain: tau(false) });
  }
  const gains = taus.map(({ pretrained, plain }) => pretrained - plain);
  const gain = mean(gains);
  const error = standardError(gains);
  const found = {
    pretrained: mean(taus.map(({ pretrained }) => pretrained)),
    plain: mean(taus.map(({ plain }) => plain)),
    gain,
    standardError: error,
  };
  for (const [key, value] of Object.entries(found))
    figures[`kendall${labels}.${key}`] = Number(value.toFixed(4));
  console.log(
    `${labels} labels: Kendall ${found.pretrained.toFixed(3)} pretrained, ${found.plain.toFixed(3)} not; gain ${gain.toFixed(3)} ± ${error.toFixed(3)} over ${seeds} draws`,
  );
}
console.log(JSON.stringify({ bench: 'pretraining', figures }));

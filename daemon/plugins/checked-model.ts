import { asHildaError, HildaError } from '../core/errors.js';
import type { CostModel, FittedModel, ModelSamples } from '../predict/picker/other-models.js';
import type { ModelKind } from './contract.js';

/** A model of a plug-in. What it answers is checked at every call: each fault is PLUGIN_FAILED. */
export function checkedModel(kind: ModelKind, plugin: string): CostModel {
  const who = `the model ${kind.name} of ${plugin}`;
  return {
    name: kind.name,
    minimumSamples: kind.minimumSamples,
    fit: (samples) => {
      const fitted = guard(who, 'fit', () => kind.fit(copyOf(samples)));
      if (typeof fitted !== 'function') throw broken(who, 'gave no function that predicts');
      const predict: FittedModel = (rows) => {
        const answer = guard(who, 'predict', () => fitted(rows.map((row) => row.slice())));
        const values = Float64Array.from(answer ?? []);
        if (values.length !== rows.length)
          throw broken(who, `gave ${values.length} predictions for ${rows.length} networks`);
        const wrong = values.find((value) => !(Math.abs(value) <= largestLog));
        if (wrong !== undefined) throw broken(who, `predicted the logarithm ${wrong}`);
        return values;
      };
      return predict;
    },
  };
}

/** Beyond it, an exponential is no cost. */
const largestLog = 100;

/** A model that changes what it is given must change nothing here. */
const copyOf = ({ columns, rows, logCosts, weights }: ModelSamples): ModelSamples => ({
  columns: [...columns],
  rows: rows.map((row) => row.slice()),
  logCosts: logCosts.slice(),
  weights: weights.slice(),
});

function guard<T>(who: string, step: string, work: () => T): T {
  try {
    return work();
  } catch (thrown) {
    throw broken(who, `threw in ${step}: ${asHildaError(thrown).message}`, thrown);
  }
}

const broken = (who: string, why: string, cause?: unknown): HildaError =>
  new HildaError('PLUGIN_FAILED', `${who} ${why}`, { cause });

import { pick, type Rng } from '../../../core/rng.js';
import { Mlp } from './mlp.js';

const batch = 32;

export interface EnsembleOptions {
  readonly members: number;
  readonly hidden: number;
  /** Adam steps on 32 examples each, a member. */
  readonly steps: number;
  readonly rate?: number;
  readonly decay?: number;
}

/** What an ensemble believes at one input, by target. */
export interface Belief {
  readonly means: Float64Array;
  /** Standard deviations: of the members' means (epistemic) and of the noise they expect (aleatoric) together. */
  readonly deviations: Float64Array;
  /** Gradient at the input of the sum of `byMean` times the means and `byDeviation` times the deviations. */
  gradient(byMean: ArrayLike<number>, byDeviation: ArrayLike<number>): Float64Array;
}

/**
 * Networks with a Gaussian likelihood, each with a mean and a variance for every target (Nix and Weigend 1994), whose
 * disagreement is the epistemic part. All see all examples and differ by their first weights: bootstraps make the members
 * worse (Lakshminarayanan et al. 2017, section 2.4). A target may be unknown (NaN) where others are known.
 */
export class GaussianEnsemble {
  readonly #models: readonly Mlp[];
  readonly #targets: number;

  constructor(
    x: readonly Float64Array[],
    y: readonly (readonly number[])[],
    { members, hidden, steps, rate = 0.02, decay = 1e-3 }: EnsembleOptions,
    rng: Rng,
  ) {
    const targets = (y[0] as readonly number[]).length;
    const indices = x.map((_, i) => i);
    this.#targets = targets;
    this.#models = Array.from({ length: members }, () => {
      const model = new Mlp([(x[0] as Float64Array).length, hidden, 2 * targets], rng);
      const upstream = new Float64Array(2 * targets);
      let wanted: readonly number[] = [];
      const slopes = (out: Float64Array): Float64Array => {
        for (let t = 0; t < targets; t++) {
          const inverse = Math.exp(-clampLog(out[2 * t + 1] as number));
          const error = (out[2 * t] as number) - (wanted[t] as number);
          const known = !Number.isNaN(error);
          upstream[2 * t] = known ? error * inverse : 0;
          upstream[2 * t + 1] = known ? 0.5 * (1 - error * error * inverse) : 0;
        }
        return upstream;
      };
      for (let step = 0; step < steps; step++) {
        for (let k = 0; k < batch; k++) {
          const i = pick(rng, indices);
          wanted = y[i] as readonly number[];
          model.learn(x[i] as Float64Array, slopes);
        }
        // The rate falls to nothing, so that the last steps average over the examples.
        model.step(rate * Math.min(1, 2 * (1 - step / steps)), batch, { decay });
      }
      return model;
    });
  }

  at(input: Float64Array): Belief {
    const runs = this.#models.map((model) => model.forward(input));
    const outputs = runs.map((run) => run.at(-1) as Float64Array);
    const members = outputs.length;
    const means = new Float64Array(this.#targets);
    const deviations = new Float64Array(this.#targets);
    for (let t = 0; t < this.#targets; t++) {
      let sum = 0;
      let squares = 0;
      let noise = 0;
      for (const out of outputs) {
        sum += out[2 * t] as number;
        noise += Math.exp(clampLog(out[2 * t + 1] as number));
      }
      const mean = sum / members;
      for (const out of outputs) squares += ((out[2 * t] as number) - mean) ** 2;
      means[t] = mean;
      deviations[t] = Math.sqrt((squares + noise) / members);
    }
    return {
      means,
      deviations,
      gradient: (byMean, byDeviation) => {
        const gradient = new Float64Array(input.length);
        const upstream = new Float64Array(2 * this.#targets);
        runs.forEach((run, m) => {
          const out = outputs[m] as Float64Array;
          for (let t = 0; t < this.#targets; t++) {
            const share = (byDeviation[t] as number) / (deviations[t] as number);
            upstream[2 * t] =
              ((byMean[t] as number) + share * ((out[2 * t] as number) - (means[t] as number))) / members;
            const log = out[2 * t + 1] as number;
            upstream[2 * t + 1] = log === clampLog(log) ? (share * 0.5 * Math.exp(log)) / members : 0;
          }
          (this.#models[m] as Mlp).backward(run, upstream).forEach((g, i) => {
            gradient[i] = (gradient[i] as number) + g;
          });
        });
        return gradient;
      },
    };
  }
}

const clampLog = (value: number): number => Math.max(-6, Math.min(4, value));

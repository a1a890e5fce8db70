/** Run lengths beyond this one share its place. */
const longest = 200;

interface Run {
  share: number;
  mean: number;
  /** Observations that the mean counts for. */
  weight: number;
  /** Shape and rate of the precision's gamma distribution. */
  shape: number;
  rate: number;
}

/**
 * Bayesian online change-point detection with a normal-gamma model of each run (Adams and MacKay, 2007, arXiv:0710.3742,
 * algorithm 1): the posterior of how many points ago the present level began. Values are in percent of the level.
 */
export class BayesianOnline {
  #runs: Run[] = [];

  /** `hazard`: the probability of a change at each point. */
  constructor(readonly hazard: number) {}

  push(value: number): void {
    // Prior: a level within some 3 % of the first value, a deviation near 1 %.
    const fresh: Run = {
      share: 0,
      mean: this.#runs.at(-1)?.mean ?? value,
      weight: 0.1,
      shape: 2,
      rate: 2,
    };
    const likely = [fresh, ...this.#runs].map((run) => density(run, value));
    const before = this.#runs.reduce((sum, { share }) => sum + share, 0) || 1;
    const grown = this.#runs.map((run, i) => ({
      ...run,
      share: run.share * (1 - this.hazard) * (likely[i + 1] as number),
    }));
    const all = [{ ...fresh, share: before * this.hazard * (likely[0] as number) }, ...grown];
    const sum = all.reduce((total, { share }) => total + share, 0);
    this.#runs = all.slice(0, longest).map((run) => learn({ ...run, share: run.share / sum }, value));
  }

  /** Posterior share of runs of `from` to `to` points, and the likeliest length among them. */
  between(from: number, to: number): { share: number; likeliest: number } {
    let [share, likeliest, most] = [0, from, 0];
    for (let length = from; length <= Math.min(to, this.#runs.length); length++) {
      const one = (this.#runs[length - 1] as Run).share;
      share += one;
      if (one > most) [most, likeliest] = [one, length];
    }
    return { share: Math.min(1 - 1e-15, share), likeliest };
  }
}

/** Student's t: the posterior predictive of a normal-gamma model. */
function density({ mean, weight, shape, rate }: Run, value: number): number {
  const freedom = 2 * shape;
  const scale = Math.sqrt((rate * (weight + 1)) / (shape * weight));
  const r = (value - mean) / scale;
  return (gammaRatio(shape) / scale / Math.sqrt(freedom)) * (1 + (r * r) / freedom) ** (-(freedom + 1) / 2);
}

/** Gamma(x + 1/2) / Gamma(x), by its asymptotic series after the argument was raised. */
function gammaRatio(x: number): number {
  let [factor, at] = [1, x];
  for (; at < 10; at++) factor *= at / (at + 0.5);
  return factor * Math.sqrt(at) * (1 - 1 / (8 * at) + 1 / (128 * at * at));
}

function learn(run: Run, value: number): Run {
  const weight = run.weight + 1;
  return {
    share: run.share,
    mean: (run.weight * run.mean + value) / weight,
    weight,
    shape: run.shape + 0.5,
    rate: run.rate + (run.weight * (value - run.mean) ** 2) / (2 * weight),
  };
}

/**
 * The peers that hilda is compared with, each as published, on the logarithms of the values. Each starts anew after its own
 * alarm, and looks at 30 points before the first one, as hilda may not do either with so few.
 */
import { BayesianOnline } from './bayesian-online.js';
import { pelt } from './pelt.js';
import type { Method, Watcher } from './watcher.js';

/** Points that a level needs before it is compared with. */
const least = 10;

const meanOf = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return ((sorted[(sorted.length - 1) >> 1] as number) + (sorted[sorted.length >> 1] as number)) / 2;
}

/** A point further than the threshold from the median of up to 20 points before it (FAI-PEP compares so, with 5 %). */
class FixedThreshold implements Watcher {
  #level: number[] = [];

  constructor(readonly threshold: number) {}

  push(value: number): number {
    const log = Math.log(value);
    const off = this.#level.length < least ? 0 : log - medianOf(this.#level);
    if (Math.abs(off) <= this.threshold) {
      this.#level = [...this.#level, log].slice(-20);
      return 0;
    }
    this.#level = [log];
    return Math.sign(off);
  }
}

/**
 * Page's two-sided cumulative sum (Page, 1954, Biometrika 41:100), self-starting: mean and deviation are those of all points since the last
 * alarm (Hawkins, 1987, The Statistician 36:299). Its reference value, 0.75, is best for steps of 1.5 deviations.
 */
class Cusum implements Watcher {
  #count = 0;
  #mean = 0;
  #squares = 0;
  #up = 0;
  #down = 0;

  constructor(readonly threshold: number) {}

  push(value: number): number {
    const log = Math.log(value);
    if (this.#count >= least) {
      const z = (log - this.#mean) / Math.sqrt(this.#squares / (this.#count - 1));
      this.#up = Math.max(0, this.#up + z - 0.75);
      this.#down = Math.max(0, this.#down - z - 0.75);
    }
    this.#count++;
    const off = log - this.#mean;
    this.#mean += off / this.#count;
    this.#squares += off * (log - this.#mean);
    const alarm = this.#up > this.threshold ? 1 : this.#down > this.threshold ? -1 : 0;
    if (alarm !== 0) {
      this.#count = 0;
      this.#mean = 0;
      this.#squares = 0;
      this.#up = 0;
      this.#down = 0;
    }
    return alarm;
  }
}

/** PELT over the last 100 points at each new one; a segment that began 5 to 30 points ago and is new raises the alarm. */
class PeltWatcher implements Watcher {
  readonly #all: number[] = [];
  #reported = Number.NEGATIVE_INFINITY;

  constructor(readonly threshold: number) {}

  push(value: number): number {
    this.#all.push(Math.log(value));
    const from = Math.max(0, this.#all.length - 100);
    const values = this.#all.slice(from);
    if (values.length < 2 * least) return 0;
    const differences = values.slice(1).map((x, i) => Math.abs(x - (values[i] as number)));
    const deviation = Math.max(1e-9, (1.4826 * medianOf(differences)) / Math.SQRT2);
    const starts = pelt(
      values.map((x) => x / deviation),
      this.threshold,
      5,
    );
    const last = starts.at(-1) ?? 0;
    const before = starts.at(-2) ?? 0;
    if (last === 0 || values.length - last > 30 || from + last < this.#reported + 10) return 0;
    this.#reported = from + last;
    return Math.sign(meanOf(values.slice(last)) - meanOf(values.slice(before, last)));
  }
}

/** Alarm where the posterior of "the run began 5 to 30 points ago" exceeds the threshold, given as log odds. */
class BayesianWatcher implements Watcher {
  readonly #runs = new BayesianOnline(1 / 200);
  readonly #all: number[] = [];
  #reported = Number.NEGATIVE_INFINITY;

  constructor(readonly threshold: number) {}

  push(value: number): number {
    this.#all.push(Math.log(value));
    const n = this.#all.length;
    this.#runs.push(100 * Math.log(value));
    if (n < 2 * least) return 0;
    const { share, likeliest } = this.#runs.between(5, 30);
    const since = n - likeliest;
    if (Math.log(share / (1 - share)) <= this.threshold || since < this.#reported + 10 || since < least)
      return 0;
    this.#reported = since;
    return Math.sign(
      meanOf(this.#all.slice(since)) - meanOf(this.#all.slice(Math.max(0, since - 30), since)),
    );
  }
}

export const peers: readonly Method[] = [
  { name: 'fixed', range: [0.005, 0.5], make: (threshold) => new FixedThreshold(threshold) },
  { name: 'cusum', range: [1, 60], make: (threshold) => new Cusum(threshold) },
  { name: 'pelt', range: [3, 200], make: (threshold) => new PeltWatcher(threshold) },
  { name: 'bayesian', range: [-6, 30], make: (threshold) => new BayesianWatcher(threshold) },
];

/** The fixed threshold of FAI-PEP as it is. */
export const fivePercent = (): Watcher => new FixedThreshold(Math.log(1.05));

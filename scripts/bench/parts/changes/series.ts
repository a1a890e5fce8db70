/** Histories that no test knows: noise, season and changing variance of several families, with steps and episodes put in. */
import { gaussian, type Rng, randomInt, Xoshiro128 } from '../../../../daemon/core/rng.js';

/** A draw with standard deviation 1, but for `contaminated`, whose core has it. */
export type Noise = (rng: Rng, at: number) => number;

export interface Family {
  readonly name: string;
  /** A fresh source of noise for one history. */
  readonly noise: (rng: Rng) => Noise;
  /** Amplitude of a sine of 100 to 300 points, drawn between the two; a share of the value. */
  readonly season: readonly [number, number];
  /** Drift over the whole history at most, either way; a share of the value. */
  readonly drift: number;
  /** Standard deviation of point `at` over its mean square root. */
  readonly spread: (rng: Rng, points: number) => (at: number) => number;
}

const student =
  (freedom: number): Noise =>
  (rng) => {
    let squares = 0;
    for (let i = 0; i < freedom; i++) squares += gaussian(rng) ** 2;
    return gaussian(rng) / Math.sqrt(squares / freedom) / Math.sqrt(freedom / (freedom - 2));
  };
const laplace: Noise = (rng) => ((rng.next() < 0.5 ? -1 : 1) * -Math.log(1 - rng.next())) / Math.SQRT2;
/** Skewed to the slow side, as latencies are: a lognormal of shape 0.6. */
const skewed: Noise = (rng) => {
  const variance = 0.36;
  const value = Math.exp(Math.sqrt(variance) * gaussian(rng)) - Math.exp(variance / 2);
  return value / Math.sqrt((Math.exp(variance) - 1) * Math.exp(variance));
};
/** One point in twenty is up to 10 % off, three in four of them slow; the others are normal with 1 %. */
const contaminated: Noise = (rng) => {
  if (rng.next() >= 0.05) return gaussian(rng);
  return (rng.next() < 0.75 ? 1 : -1) * (3 + 7 * rng.next());
};
/** Neighbours correlate by 0.3. */
function autoregressive(share: number): (rng: Rng) => Noise {
  const draw = student(4);
  return (rng) => {
    let before = draw(rng, 0);
    return (source, at) => {
      before = share * before + Math.sqrt(1 - share * share) * draw(source, at);
      return before;
    };
  };
}

const constant = () => () => 1;
/** Slowly up and down by a third, over 60 to 200 points. */
const waves: Family['spread'] = (rng) => {
  const period = 60 + 140 * rng.next();
  const phase = 2 * Math.PI * rng.next();
  const root = Math.sqrt(1 + 0.33 ** 2 / 2);
  return (at) => (1 + 0.33 * Math.sin((2 * Math.PI * at) / period + phase)) / root;
};
/** Twice the variance from a point near the middle on, or half of it. */
const doubling: Family['spread'] = (rng, points) => {
  const at = points / 4 + randomInt(rng, Math.ceil(points / 2));
  const up = rng.next() < 0.5;
  return (i) => (i < at === up ? Math.SQRT1_2 : 1) * Math.sqrt(4 / 3);
};

const family = (
  name: string,
  noise: Family['noise'],
  {
    season = [0.0025, 0.0075] as const,
    drift = 0,
    spread = waves,
  }: { season?: Family['season']; drift?: number; spread?: Family['spread'] } = {},
): Family => ({ name, noise, season, drift, spread });

/** The bar's family: tails of Student's t with 3 and 4 degrees, slow season, changing variance. */
export const barFamily = family('bar', (rng) => student(rng.next() < 0.5 ? 3 : 4));

/** Others; those marked false were never used for the table of thresholds. */
export const otherFamilies: readonly (Family & { readonly calibrated: boolean })[] = [
  { ...family('normal', () => gaussian), calibrated: true },
  { ...family('season1', () => student(4), { season: [0.01, 0.01] }), calibrated: true },
  { ...family('drift2', () => student(4), { season: [0, 0], drift: 0.02 }), calibrated: false },
  { ...family('steady', () => student(4), { season: [0, 0], spread: constant }), calibrated: false },
  { ...family('doubling', () => student(4), { spread: doubling }), calibrated: false },
  { ...family('laplace', () => laplace), calibrated: false },
  { ...family('skewed', () => skewed), calibrated: false },
  { ...family('contaminated', () => contaminated), calibrated: false },
  { ...family('autocorrelated', autoregressive(0.3)), calibrated: false },
];

export interface Put {
  /** A step that stays: a share of the value. */
  readonly step?: { readonly at: number; readonly size: number };
  /** Points that are slow, then back: a share of the value. */
  readonly episode?: { readonly at: number; readonly points: number; readonly size: number };
  /** Single points off: a share of the value, either way. */
  readonly outliers?: readonly { readonly at: number; readonly size: number }[];
}

/** One history of values near 1,000; the same seed gives the same noise for all that is put in. */
export function history(
  { noise, season: [least, most], drift, spread }: Family,
  seed: number,
  points: number,
  { step, episode, outliers = [] }: Put = {},
): number[] {
  const rng = Xoshiro128.fromSeed(seed);
  const amplitude = least + (most - least) * rng.next();
  const period = 100 + 200 * rng.next();
  const phase = 2 * Math.PI * rng.next();
  const slope = (drift * (2 * rng.next() - 1)) / points;
  const deviation = spread(rng, points);
  const draw = noise(rng);
  return Array.from({ length: points }, (_, at) => {
    const slow = amplitude * Math.sin((2 * Math.PI * at) / period + phase) + slope * at;
    let value = 1000 * Math.max(0.05, 1 + slow + 0.01 * deviation(at) * draw(rng, at));
    if (step && at >= step.at) value *= 1 + step.size;
    if (episode && at >= episode.at && at < episode.at + episode.points) value *= 1 + episode.size;
    for (const outlier of outliers) if (outlier.at === at) value *= 1 + outlier.size;
    return value;
  });
}

import { drawIndex, Xoshiro128 } from '../core/rng.js';
import { additiveOf, cheapestAtLevel, fitAdditive } from './additive-accuracy.js';
import { type BlockCosts, costOf } from './block-costs.js';
import { likeliest, softmaxOf } from './path-binarisation.js';
import type { GradientSearches } from './search-by-gradient.js';

/** One network with what is known of it. */
export interface Candidate {
  readonly architecture: readonly number[];
  /** As scored, a share of 1. */
  readonly accuracy: number;
  /** By every target's table, in that table's unit. */
  readonly costs: Readonly<Record<string, number>>;
}

/** A target's winner. */
export interface GradientWinner extends Candidate {
  readonly target: string;
  /** What all scored networks together say of it (`fitAdditive`); null where winners are the likeliest. */
  readonly expectedAccuracy: number | null;
  /** The likeliest choice of every layer: the authors' own way to end the target's search. */
  readonly likeliest: Candidate;
}

export interface DeriveOptions {
  /** Networks drawn from what each search ended with, beside the likeliest; with 0 that one is the winner. */
  readonly candidates: number;
  /** Accuracy given up for speed, as a share of 1. */
  readonly slack: number;
  readonly seed: number;
  /** As a share of 1. */
  readonly accuracyOf: (architecture: readonly number[]) => Promise<number>;
  readonly onScored?: (count: number) => void;
}

/** Times that the cheapest networks are scored and the model refitted, at most. */
const rounds = 16;

/**
 * The winners of several targets' searches at equal accuracy. A search of some hundred steps decides few layers for good:
 * which choice is the likeliest by a little is chance, and two targets' likeliest networks differ by how much accuracy
 * they gave up more than by what the targets prefer. So networks are drawn from each search's distribution (as Wu et al.
 * 2019, section 3.4) and scored, and what choices add to accuracy is learnt from all. The level is the least of the searches'
 * best expected accuracies less `slack`; each target takes the network cheapest by its own table that is expected to reach
 * it. What is to be taken is scored first and the model refitted, until that changes nothing.
 *
 * No target's winner is dearer by its own table than another target's winner.
 */
export async function deriveWinners(
  { searches, costs }: GradientSearches,
  { candidates, slack, seed, accuracyOf, onScored }: DeriveOptions,
): Promise<{ readonly level: number | null; readonly winners: readonly GradientWinner[] }> {
  const scored = new Map<string, Candidate>();
  const score = async (architecture: readonly number[]): Promise<Candidate> => {
    const key = String(architecture);
    const before = scored.get(key);
    if (before) return before;
    const one = {
      architecture,
      accuracy: await accuracyOf(architecture),
      costs: Object.fromEntries([...costs].map(([on, table]) => [on, costOf(table, architecture)])),
    };
    scored.set(key, one);
    onScored?.(scored.size);
    return one;
  };

  const drawn: Candidate[][] = [];
  for (const { alphas } of searches) {
    const rng = Xoshiro128.fromSeed(seed);
    const p = alphas.map(softmaxOf);
    const own = [await score(likeliest(alphas))];
    for (let i = 0; i < candidates; i++) own.push(await score(p.map((row) => drawIndex(row, rng))));
    drawn.push(own);
  }
  const firsts = drawn.map(([first]) => first as Candidate);
  if (candidates === 0)
    return {
      level: null,
      winners: searches.map(({ target }, i) => {
        const first = firsts[i] as Candidate;
        return { ...first, target, expectedAccuracy: null, likeliest: first };
      }),
    };

  const choices = (searches[0] as { alphas: readonly (readonly number[])[] }).alphas.map((row) => row.length);
  const learn = () => {
    const model = fitAdditive([...scored.values()], choices);
    const expected = ({ architecture }: Candidate): number => additiveOf(model, architecture);
    const level = Math.min(...drawn.map((own) => Math.max(...own.map(expected)))) - slack;
    return { model, expected, level };
  };
  let known = learn();
  for (let round = 0; round < rounds; round++) {
    const before = scored.size;
    for (const { target } of searches) {
      const next = cheapestAtLevel(known.model, costs.get(target) as BlockCosts, known.level);
      if (next) await score(next);
    }
    if (scored.size === before) break;
    known = learn();
  }
  const { expected, level } = known;
  const enough = [...scored.values()].filter((candidate) => expected(candidate) >= level);
  return {
    level,
    winners: searches.map(({ target }, i) => {
      const cost = (candidate: Candidate): number => candidate.costs[target] as number;
      const best = enough.reduce((a, b) => (cost(b) < cost(a) ? b : a));
      return { ...best, target, expectedAccuracy: expected(best), likeliest: firsts[i] as Candidate };
    }),
  };
}

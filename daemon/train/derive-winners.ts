import { drawIndex, Xoshiro128 } from '../core/rng.js';
import { costOf } from './block-costs.js';
import { likeliest, softmaxOf } from './path-binarisation.js';
import type { GradientSearches } from './search-by-gradient.js';

/** One architecture with what is known of it. */
export interface Candidate {
  readonly architecture: readonly number[];
  /** As a share of 1. */
  readonly accuracy: number;
  /** By every target's table, in that table's unit. */
  readonly costs: Readonly<Record<string, number>>;
  /** The target whose search it came from first. */
  readonly from: string;
}

/** A target's winner. */
export interface GradientWinner extends Candidate {
  readonly target: string;
  /** The likeliest choice of every layer: the authors' own way to end the target's search. */
  readonly likeliest: Candidate;
}

export interface DeriveOptions {
  /** Architectures drawn from what each search ended with, beside the likeliest; with 0 that one is the winner. */
  readonly candidates: number;
  /** Accuracy given up for speed, as a share of 1. */
  readonly slack: number;
  readonly seed: number;
  /** As a share of 1. */
  readonly accuracyOf: (architecture: readonly number[]) => Promise<number>;
  readonly onCandidate?: (done: number, of: number) => void;
}

/**
 * The winners of several targets' searches at equal accuracy. A search rarely decides every layer: which choice is the
 * likeliest by a little is chance, and two targets' likeliest networks differ by how much accuracy they gave up more than by
 * what the targets prefer. So networks are drawn from each search's distribution (Wu et al. 2019, section 3.4, do so) and
 * scored, and every target takes, of all of them, the one cheapest by its own table among those within `slack` of the least
 * of the searches' best accuracies. By its own table no target's winner is then dearer than another's.
 */
export async function deriveWinners(
  { searches, costs }: GradientSearches,
  { candidates, slack, seed, accuracyOf, onCandidate }: DeriveOptions,
): Promise<{ readonly level: number | null; readonly winners: readonly GradientWinner[] }> {
  const drawn = searches.map(({ target, alphas }) => {
    const rng = Xoshiro128.fromSeed(seed);
    const p = alphas.map(softmaxOf);
    const draws = Array.from({ length: candidates }, () => p.map((row) => drawIndex(row, rng)));
    return { target, architectures: [likeliest(alphas), ...draws] };
  });
  const total = new Set(drawn.flatMap(({ architectures }) => architectures.map(String))).size;
  const known = new Map<string, Candidate>();
  const score = async (architecture: readonly number[], from: string): Promise<Candidate> => {
    const key = String(architecture);
    const before = known.get(key);
    if (before) return before;
    const scored = {
      architecture,
      accuracy: await accuracyOf(architecture),
      costs: Object.fromEntries([...costs].map(([on, table]) => [on, costOf(table, architecture)])),
      from,
    };
    known.set(key, scored);
    onCandidate?.(known.size, total);
    return scored;
  };
  const own: { target: string; scored: [Candidate, ...Candidate[]] }[] = [];
  for (const { target, architectures } of drawn) {
    const scored: Candidate[] = [];
    for (const architecture of architectures) scored.push(await score(architecture, target));
    own.push({ target, scored: scored as [Candidate, ...Candidate[]] });
  }
  if (candidates === 0)
    return {
      level: null,
      winners: own.map(({ target, scored: [only] }) => ({ ...only, target, likeliest: only })),
    };
  const level = Math.min(...own.map(({ scored }) => Math.max(...scored.map((c) => c.accuracy)))) - slack;
  const equal = [...known.values()].filter(({ accuracy }) => accuracy >= level);
  return {
    level,
    winners: own.map(({ target, scored: [first] }) => {
      const cost = (c: Candidate): number => c.costs[target] as number;
      const best = equal.reduce((a, b) => (cost(b) < cost(a) ? b : a));
      return { ...best, target, likeliest: first };
    }),
  };
}

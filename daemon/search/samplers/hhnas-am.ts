import { z } from 'zod';
import type { Json } from '../../core/json.js';
import { pick, randomInt } from '../../core/rng.js';
import type { Trial } from './contract.js';
import {
  choiceCounts,
  count,
  definePlugin,
  indicesOf,
  normalised,
  positive,
  proposeUnseen,
  recentNotes,
  remembering,
  share,
} from './plugin.js';
import { bestFirst, rewards } from './rank.js';
import { architectureKey } from './unseen.js';

/** Value of mutating (1) and of keeping (0), by decision; and of each choice, by decision. */
interface Learnt {
  readonly mutate: readonly (readonly [keep: number, mutate: number])[];
  readonly choices: readonly (readonly number[])[];
  /** Children under way: their key, their parent's number. */
  readonly waiting: readonly (readonly [key: string, parent: number])[];
}

/**
 * HHNAS-AM (hierarchical hybrid search with adaptive mutation, 2025): evolution whose mutation probabilities are
 * learnt. For every decision a Q-value of mutating and one of keeping it, and one of each choice (the two levels, macro
 * and micro), move towards the reward's change from parent to child; the mutation probability is their softmax. The
 * learning constants were not readable in the paper: rate 0.2, temperature 0.1 of the rewards' spread are ours.
 * With `learn: false` it is the same evolution with fixed probabilities. A proposal's note holds the largest and
 * smallest probability, so that a study's log shows them move.
 */
export const hhnasAm = definePlugin({
  name: 'hhnas-am',
  options: z.strictObject({
    population: count(30),
    learningRate: share(0.2),
    temperature: positive(0.1),
    learn: z.boolean().default(true),
  }),
  create: ({ population, learningRate, temperature, learn }) =>
    remembering('hhnas-am', ['dims'], null as Json, (n, context, memory) => {
      const { rng, history } = context;
      const sizes = choiceCounts(context);
      const learnt = (memory.value as unknown as Learnt | null) ?? {
        mutate: sizes.map(() => [0, 0] as const),
        choices: sizes.map((size) => new Array<number>(size).fill(0)),
        waiting: [],
      };
      const mutate = learnt.mutate.map(([keep, change]): [number, number] => [keep, change]);
      const choices = learnt.choices.map((row) => [...row]);
      const parents = new Map(learnt.waiting);
      const all = rewards(context, history, 0.1);
      const rewardOf = new Map(history.map((trial, i) => [trial.number, all[i] as number]));
      const byNumber = new Map(history.map((trial) => [trial.number, trial]));
      const sorted = all.filter((reward) => reward > 0).sort((a, b) => a - b);
      const spread = Math.max(
        1e-9,
        (sorted[Math.floor(sorted.length * 0.9)] ?? 0) - (sorted[sorted.length >> 1] ?? 0),
      );
      for (const child of memory.news) {
        const parentNumber = parents.get(architectureKey(child.architecture));
        const parent = parentNumber === undefined ? undefined : byNumber.get(parentNumber);
        if (!parent) continue;
        parents.delete(architectureKey(child.architecture));
        const change = clamp(
          ((rewardOf.get(child.number) ?? 0) - (rewardOf.get(parent.number) ?? 0)) / spread,
        );
        const [before, after] = [indicesOf(parent.architecture), indicesOf(child.architecture)];
        after.forEach((choice, i) => {
          const action = choice === before[i] ? 0 : 1;
          const values = mutate[i] as [number, number];
          values[action] += learningRate * (change - values[action]);
          const row = choices[i] as number[];
          if (action === 1)
            row[choice] = (row[choice] as number) + learningRate * (change - (row[choice] as number));
        });
      }
      const base = 1 / sizes.length;
      const probabilities = mutate.map(([keep, change]) => {
        if (!learn) return base;
        // At equal values every decision mutates once in a while, one on average, as in plain evolution.
        const odds = (base / (1 - base || 1)) * Math.exp(clamp(change - keep) / (10 * temperature));
        return Math.min(0.9, Math.max(0.02, odds / (1 + odds)));
      });
      const population_ = bestFirst(context).slice(0, population);
      const proposed: (readonly [string, number])[] = [];
      const spreadText = `${Math.min(...probabilities).toFixed(2)} to ${Math.max(...probabilities).toFixed(2)}`;
      const proposals = proposeUnseen(
        n,
        context,
        () => {
          const parent = pick(rng, population_) as Trial;
          const from = indicesOf(parent.architecture);
          const forced = randomInt(rng, from.length);
          const child = from.map((index, i) => {
            if (rng.next() >= (probabilities[i] as number) && !(i === forced && rng.next() < 0.5))
              return index;
            return learn
              ? softDraw(choices[i] as number[], 0.5, rng.next())
              : randomInt(rng, sizes[i] as number);
          });
          const architecture = normalised(context, child);
          if (!architecture) return undefined;
          proposed.push([architectureKey(architecture), parent.number]);
          return { architecture, note: `mutation of ${parent.number}, probabilities ${spreadText}` };
        },
        { initial: Math.max(population, n), tries: 20 * n },
      );
      memory.value = { mutate, choices, waiting: recentNotes([...parents, ...proposed]) } as unknown as Json;
      return proposals;
    }),
});

const clamp = (value: number): number => Math.max(-3, Math.min(3, value));

/** An index by the softmax of its value at a temperature. */
function softDraw(values: readonly number[], temperature: number, uniform: number): number {
  const powers = values.map((value) => Math.exp(value / temperature));
  let left = uniform * powers.reduce((a, b) => a + b, 0);
  for (let i = 0; i < powers.length; i++) {
    left -= powers[i] as number;
    if (left < 0) return i;
  }
  return powers.length - 1;
}

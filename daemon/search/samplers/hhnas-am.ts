import { z } from 'zod';
import type { Json } from '../../core/json.js';
import { drawIndex, pick, randomInt } from '../../core/rng.js';
import type { AskContext, Trial } from './contract.js';
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

/** What each choice of each decision is worth, in spreads of the reward; relative to the others of its decision. */
type Values = readonly (readonly number[])[];

interface Learnt {
  readonly values: Values;
  /** Children under way: their key, their parent's number. */
  readonly waiting: readonly (readonly [key: string, parent: number])[];
}

/** Changes of the reward, in spreads, beyond which one is as bad, or as good, as another. */
const clamp = (value: number): number => Math.max(-3, Math.min(3, value));

/**
 * HHNAS-AM (hierarchical hybrid search with adaptive mutation, 2025): evolution whose mutation probabilities are
 * learnt. The reward of mutating a parent is the reward's change to its child; its Q-value is the sum, over what was
 * mutated, of the new choice's value less the old one's (a linear Q-function, so that a child of several mutations
 * shares its reward among them), moved towards the reward by `learningRate`. Two levels, macro and micro: a decision is
 * mutated with a probability whose odds grow with the exponential of what a mutation of it is expected to gain, and the
 * new choice is drawn by the softmax of the values. The learning constants were not readable in the paper: they are
 * ours. With `learn: false` it is the same evolution with fixed probabilities. A proposal's note holds the largest and
 * smallest probability, so that a study's log shows them move.
 */
export const hhnasAm = definePlugin({
  name: 'hhnas-am',
  options: z.strictObject({
    population: count(30),
    learningRate: share(0.2),
    temperature: positive(0.5),
    learn: z.boolean().default(true),
  }),
  create: ({ population, learningRate, temperature, learn }) =>
    remembering('hhnas-am', ['dims'], null as Json, (n, context, memory) => {
      const { rng } = context;
      const sizes = choiceCounts(context);
      const stored = memory.value as unknown as Learnt | null;
      const parents = new Map(stored?.waiting);
      const before = stored?.values ?? sizes.map((size) => new Array<number>(size).fill(0));
      const values = learnt(before, changes(context, memory.news, parents), learn ? learningRate : 0);
      for (const child of memory.news) parents.delete(architectureKey(child.architecture));
      const best = bestFirst(context).slice(0, population);
      const proposed: (readonly [string, number])[] = [];
      const proposals = proposeUnseen(
        n,
        context,
        () => {
          const parent = pick(rng, best) as Trial;
          const from = indicesOf(parent.architecture);
          const policy = from.map((choice, i) =>
            mutation(values[i] as readonly number[], choice, { temperature, rate: 1 / sizes.length }),
          );
          const forced = randomInt(rng, from.length);
          const child = policy.map(({ probability, odds }, i) => {
            const mutates = rng.next() < probability || (i === forced && rng.next() < 0.5);
            return mutates ? drawIndex(odds, rng) : (from[i] as number);
          });
          const architecture = normalised(context, child);
          if (!architecture) return undefined;
          proposed.push([architectureKey(architecture), parent.number]);
          const chances = policy.map(({ probability }) => probability);
          const range = `${Math.min(...chances).toFixed(2)} to ${Math.max(...chances).toFixed(2)}`;
          return { architecture, note: `mutation of ${parent.number}, probabilities ${range}` };
        },
        { initial: Math.max(population, n), tries: 20 * n },
      );
      memory.value = { values, waiting: recentNotes([...parents, ...proposed]) } as unknown as Json;
      return proposals;
    }),
});

interface Change {
  readonly before: readonly number[];
  readonly after: readonly number[];
  /** Of the reward, in spreads of the better half. */
  readonly change: number;
}

/** What became of the mutations that were told. */
function changes(
  context: AskContext,
  news: readonly Trial[],
  parents: ReadonlyMap<string, number>,
): Change[] {
  const { history } = context;
  const all = rewards(context, history, 0.1);
  const known = new Map(history.map((trial, i) => [trial.number, { trial, reward: all[i] as number }]));
  const sorted = all.filter((reward) => reward > 0).sort((a, b) => a - b);
  const high = sorted[Math.floor(sorted.length * 0.9)] ?? 0;
  const spread = Math.max(1e-9, high - (sorted[sorted.length >> 1] ?? 0));
  return news.flatMap((child) => {
    const parent = known.get(parents.get(architectureKey(child.architecture)) ?? -1);
    const own = known.get(child.number);
    if (!parent || !own) return [];
    const [before, after] = [indicesOf(parent.trial.architecture), indicesOf(child.architecture)];
    return [{ before, after, change: clamp((own.reward - parent.reward) / spread) }];
  });
}

/** Q-learning with a linear Q-function: each told mutation moves the values of what it changed towards its reward. */
function learnt(values: Values, told: readonly Change[], rate: number): Values {
  const moved = values.map((row) => [...row]);
  for (const { before, after, change } of told) {
    const changed = after.flatMap((choice, i) => (choice === before[i] ? [] : [i]));
    const gain = (i: number): number =>
      (moved[i]?.[after[i] as number] ?? 0) - (moved[i]?.[before[i] as number] ?? 0);
    const error = change - changed.reduce((sum, i) => sum + gain(i), 0);
    for (const i of changed) {
      const row = moved[i] as number[];
      const step = (rate * error) / changed.length / 2;
      row[after[i] as number] = (row[after[i] as number] as number) + step;
      row[before[i] as number] = (row[before[i] as number] as number) - step;
    }
  }
  return moved;
}

/** How likely a decision is mutated, and by what odds each choice is then taken. */
function mutation(
  values: readonly number[],
  from: number,
  { temperature, rate }: { readonly temperature: number; readonly rate: number },
): { readonly probability: number; readonly odds: readonly number[] } {
  const gains = values.map((value) => value - (values[from] as number));
  const odds = gains.map((gain, choice) => (choice === from ? 0 : Math.exp(gain / temperature)));
  // At equal values each decision mutates at the rate of plain evolution, one decision a child on average.
  const mutates =
    (rate / (1 - rate || 1)) * (odds.reduce((sum, o) => sum + o, 0) / Math.max(1, odds.length - 1));
  return { probability: Math.min(0.9, Math.max(0.02, mutates / (1 + mutates))), odds };
}

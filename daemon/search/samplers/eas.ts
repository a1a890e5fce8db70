import { z } from 'zod';
import type { Architecture } from '../../core/architecture.js';
import type { Json } from '../../core/json.js';
import { drawIndex } from '../../core/rng.js';
import type { Space } from '../spaces/contract.js';
import type { AskContext, Trial } from './contract.js';
import { fullGroups, type Policy, reinforce, softmax, uniformPolicy } from './learning/policy.js';
import {
  count,
  definePlugin,
  indicesOf,
  normalised,
  policyFields,
  proposeUnseen,
  recentNotes,
  remembering,
  share,
} from './plugin.js';
import { bestFirst, rewards } from './rank.js';
import { architectureKey } from './unseen.js';

interface Learnt {
  readonly policy: Policy | null;
  /** Children under way: their key and the decisions that grew. */
  readonly waiting: readonly (readonly [key: string, moves: readonly number[]])[];
  /** Trials that wait for a full group. */
  readonly group: readonly { readonly moves: readonly number[]; readonly reward: number }[];
}

/**
 * EAS (Cai, Chen, Zhang, Yu and Wang, AAAI 2018): a policy proposes growths of the best network so far, wider and deeper,
 * which keep its function so that a child inherits its weights (`daemon/train/morphs.ts`). Here a growth is one decision
 * moved to its next dearer choice by MACs, and the policy is one softmax over decisions where the authors run a
 * bidirectional LSTM; reward tan(quality x pi / 2), baseline decay 0.95, REINFORCE with Adam. Search starts from the
 * space's smallest architecture and only grows, so it needs a space where larger is better until a limit says no.
 */
export const eas = definePlugin({
  name: 'eas',
  options: z.strictObject({
    moves: count(3),
    ...policyFields(0.1),
    baselineDecay: share(0.95),
    parents: count(5),
  }),
  create: (o) =>
    remembering(
      'eas',
      ['dims'],
      { policy: null, waiting: [], group: [] } as unknown as Json,
      (n, context, memory) => {
        const { space, rng } = context;
        const { dims = [] } = space;
        const learnt = memory.value as unknown as Learnt;
        let policy = learnt.policy ?? uniformPolicy([dims.length]);
        const waiting = new Map(learnt.waiting);
        const scores = rewards(context, memory.news, 0.05);
        const top = Math.max(1, ...scores);
        const told = memory.news.map((trial, i) => {
          const key = architectureKey(trial.architecture);
          const moves = waiting.get(key) ?? [];
          waiting.delete(key);
          return { moves, reward: Math.tan(Math.min(0.98, (scores[i] as number) / top) * (Math.PI / 2)) };
        });
        const { groups, rest } = fullGroups([...learnt.group, ...told], o.group);
        for (const trials of groups) {
          const samples = trials.flatMap(({ moves, reward }) =>
            moves.map((move) => ({ indices: [move], reward })),
          );
          policy = reinforce(policy, samples, {
            rate: o.rate,
            baselineStep: 1 - o.baselineDecay,
            beta1: 0.9,
            beta2: 0.999,
          });
        }
        const order = dearness(space);
        const parents = startingPoints(context, o.parents);
        const grown: (readonly [string, readonly number[]])[] = [];
        const proposals = proposeUnseen(
          n,
          context,
          () => {
            // The root itself comes first: its children inherit from it.
            if (context.history.length === 0 && grown.length === 0) {
              const [root] = parents as [Architecture];
              grown.push([architectureKey(root), []]);
              return { architecture: root, note: 'the smallest' };
            }
            let current = parents[Math.floor(rng.next() * parents.length)] as Architecture;
            const moves: number[] = [];
            for (let i = 1 + Math.floor(rng.next() * o.moves); i > 0; i--) {
              const indices = indicesOf(current);
              const next = indices.map((index, d) => order[d]?.[(order[d]?.indexOf(index) ?? -1) + 1]);
              const probabilities = softmax(policy.logits[0] as number[]).map((p, d) =>
                next[d] === undefined ? 0 : p,
              );
              if (probabilities.every((p) => p === 0)) break;
              const move = drawIndex(probabilities, rng);
              const child = normalised(
                context,
                indices.map((index, d) => (d === move ? (next[d] as number) : index)),
              );
              if (!child) return undefined;
              current = child;
              moves.push(move);
            }
            grown.push([architectureKey(current), moves]);
            return {
              architecture: current,
              note: `grown at ${moves.map((move) => dims[move]?.name).join(', ')}`,
            };
          },
          { initial: 0, tries: 20 * n },
        );
        memory.value = {
          policy,
          waiting: recentNotes([...waiting, ...grown]),
          group: rest,
        } as unknown as Json;
        return proposals;
      },
    ),
});

/** The best complete trials; before there are any, the smallest architecture. */
function startingPoints(context: AskContext, parents: number): Architecture[] {
  const best = bestFirst(context)
    .filter(({ state }: Trial) => state === 'complete')
    .slice(0, parents);
  if (best.length > 0) return best.map(({ architecture }) => architecture);
  const smallest = context.space.seeds?.()[0];
  return [smallest ?? context.space.sample(context.rng)];
}

const orders = new WeakMap<Space, number[][]>();

/** Every decision's choices from the cheapest to the dearest, by the MACs of the smallest network with that choice. */
function dearness(space: Space): number[][] {
  const known = orders.get(space);
  if (known) return known;
  const dims = space.dims ?? [];
  const base = space.seeds?.()[0] ?? dims.map(() => 0);
  const order = dims.map((dim, d) => {
    const macs = dim.choices.map((_, choice) => {
      try {
        return space.stats(space.normalise(indicesOf(base).map((index, i) => (i === d ? choice : index))))
          .macs;
      } catch {
        return choice; // Excluded beside the base: listed order.
      }
    });
    return dim.choices
      .map((_, choice) => choice)
      .sort((a, b) => (macs[a] as number) - (macs[b] as number) || a - b);
  });
  orders.set(space, order);
  return order;
}

import { z } from 'zod';
import type { Json } from '../../core/json.js';
import type { AskContext, Trial } from './contract.js';
import {
  drawIndices,
  forgetfulAdam,
  fullGroups,
  logProbability,
  type Policy,
  reinforce,
  type Sample,
  softmax,
  uniformPolicy,
} from './learning/policy.js';
import {
  choiceCounts,
  definePlugin,
  indicesOf,
  normalised,
  policyFields,
  positive,
  proposeUnseen,
  recentNotes,
  remembering,
  share,
} from './plugin.js';

export interface Task {
  readonly name: string;
  /** The cost that this task limits, e.g. `latencyUs@pico-1`. */
  readonly metric: string;
  readonly max: number;
}

interface Learnt {
  readonly policies: readonly Policy[];
  /** Trials that wait for a full group, with the log-probability they were drawn with. */
  readonly drawn: readonly (readonly [key: string, logProbability: number])[];
  readonly group: readonly {
    readonly indices: readonly number[];
    readonly rewards: readonly number[];
    readonly log: number;
  }[];
}

/** Importance weights beyond this are cut: a rare architecture must not move a policy by itself. */
const weightCap = 5;

/**
 * FBNetV5 (Wu et al. 2021, section 3.3): one run searches for several tasks at once; for us a task is a device and its
 * limit. Architectures are drawn from one behaviour distribution, the mean of the tasks' own and a uniform share, each
 * is evaluated once, and every task's distribution takes a REINFORCE step with the importance weight of its own
 * probability over the behaviour's. The cost does not grow with the number of tasks. Reward of a task: the first
 * objective, times (max / cost)^`penalty` beyond its limit. A study names its limits here, not under `constraints`,
 * which would reject what another device could use.
 */
export const fbnetv5 = definePlugin({
  name: 'fbnetv5',
  options: z.strictObject({
    tasks: z
      .array(z.strictObject({ name: z.string(), metric: z.string(), max: z.number().positive() }))
      .max(16)
      .default([]),
    ...policyFields(0.15),
    uniform: share(0.1),
    penalty: positive(2),
  }),
  create: (o) =>
    remembering('fbnetv5', ['dims'], null as Json, (n, context, memory) => {
      const { rng, constraints } = context;
      const tasks: readonly Task[] =
        o.tasks.length > 0
          ? o.tasks
          : constraints.length > 0
            ? constraints.map(({ metric, max }) => ({ name: metric, metric, max }))
            : [{ name: 'all', metric: '', max: 1 }];
      const sizes = choiceCounts(context);
      const learnt = (memory.value as unknown as Learnt | null) ?? {
        policies: tasks.map(() => uniformPolicy(sizes)),
        drawn: [],
        group: [],
      };
      let { policies } = learnt;
      const drawn = new Map(learnt.drawn);
      const group = [...learnt.group];
      for (const trial of memory.news) {
        const indices = indicesOf(trial.architecture);
        const log = drawn.get(indices.join()) ?? sizes.reduce((sum, size) => sum - Math.log(size), 0);
        drawn.delete(indices.join());
        group.push({
          indices,
          rewards: tasks.map((task) => taskReward(trial, task, context, o.penalty)),
          log,
        });
      }
      const { groups, rest } = fullGroups(group, o.group);
      for (const part of groups)
        policies = policies.map((policy, t) => {
          const samples = part.map(({ indices, rewards, log }): Sample => {
            const weight = Math.min(weightCap, Math.exp(logProbability(policy.logits, indices) - log));
            return { indices, reward: rewards[t] as number, weight };
          });
          return reinforce(policy, samples, { rate: o.rate, baselineStep: 0.5, ...forgetfulAdam });
        });
      const proposals = proposeUnseen(
        n,
        context,
        () => {
          const turn = rng.next() < o.uniform ? -1 : Math.floor(rng.next() * policies.length);
          const logits =
            turn < 0
              ? sizes.map((size) => new Array<number>(size).fill(0))
              : (policies[turn] as Policy).logits;
          const architecture = normalised(context, drawIndices(logits, rng));
          return (
            architecture && { architecture, note: turn < 0 ? 'uniform' : `policy of ${tasks[turn]?.name}` }
          );
        },
        { tries: 20 * n },
      );
      for (const { architecture } of proposals) {
        const indices = indicesOf(architecture);
        drawn.set(indices.join(), behaviour(indices, policies, sizes, o.uniform));
      }
      memory.value = { policies, drawn: recentNotes(drawn), group: rest } as unknown as Json;
      return proposals;
    }),
});

/** Log-probability of a draw from the mixture. */
function behaviour(
  indices: readonly number[],
  policies: readonly Policy[],
  sizes: readonly number[],
  uniform: number,
): number {
  const flat = sizes.reduce((product, size) => product / size, 1);
  const own = policies.reduce(
    (sum, { logits }) =>
      sum +
      logits.reduce((p, row, i) => p * (softmax(row)[indices[i] as number] as number), 1) / policies.length,
    0,
  );
  return Math.log(Math.max(1e-300, uniform * flat + (1 - uniform) * own));
}

function taskReward(
  { state, values }: Trial,
  { metric, max }: Task,
  { objectives }: AskContext,
  penalty: number,
): number {
  const objective = objectives[0];
  const value = objective && values[objective.metric];
  if (state === 'failed' || value === undefined) return 0;
  const quality = objective?.goal === 'max' ? value : 1 / Math.max(value, 1e-12);
  const cost = values[metric];
  return cost === undefined || cost <= max ? quality : quality * (max / cost) ** penalty;
}

import { z } from 'zod';
import type { Json } from '../../core/json.js';
import {
  drawIndices,
  forgetfulAdam,
  fullGroups,
  type Policy,
  reinforce,
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
  remembering,
  share,
} from './plugin.js';
import { rewards } from './rank.js';

interface Learnt {
  readonly policy: Policy | null;
  /** Trials that wait for a full group. */
  readonly group: readonly { readonly indices: readonly number[]; readonly reward: number }[];
}

/**
 * ProxylessNAS in its REINFORCE form (Cai, Zhu and Han, ICLR 2019, section 3.3.2), the one behind their best published
 * network: independent softmax choices, reward accuracy x (reference / latency)^0.1, groups of 10 architectures a step,
 * Adam with betas (0, 0.999), a baseline that closes 0.99 of its gap. The authors take 300 steps an epoch at rate 0.001
 * with accuracies from a super-network; a study that measures pays for each trial, so the default rate is higher.
 */
export const proxylessNasR = definePlugin({
  name: 'proxylessnas-r',
  options: z.strictObject({
    ...policyFields(0.15),
    exponent: positive(0.1),
    baselineStep: share(0.99),
  }),
  create: ({ rate, group: groupSize, exponent, baselineStep }) =>
    remembering(
      'proxylessnas-r',
      ['dims'],
      { policy: null, group: [] } as unknown as Json,
      (n, context, memory) => {
        const { space, rng } = context;
        const learnt = memory.value as unknown as Learnt;
        let policy = learnt.policy ?? uniformPolicy(choiceCounts(context));
        const scores = rewards(context, memory.news, exponent);
        const waiting = [
          ...learnt.group,
          ...memory.news.map((trial, i) => ({
            indices: indicesOf(trial.architecture),
            reward: scores[i] as number,
          })),
        ];
        const { groups, rest } = fullGroups(waiting, groupSize);
        for (const samples of groups)
          policy = reinforce(policy, samples, { rate, baselineStep, ...forgetfulAdam });
        memory.value = { policy, group: rest } as unknown as Json;
        return proposeUnseen(
          n,
          context,
          () => {
            const architecture = normalised({ ...context, space }, drawIndices(policy.logits, rng));
            return architecture && { architecture, note: `policy after ${policy.t} steps` };
          },
          { tries: 200 },
        );
      },
    ),
});

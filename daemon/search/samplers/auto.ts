import { z } from 'zod';
import type { AskContext, Proposal } from './contract.js';
import { count, definePlugin, memoryless, positive } from './plugin.js';
import { posteriorSamples } from './posterior-samples.js';
import { randomProposals } from './random.js';
import { bestOf } from './transfer-prior.js';
import { Unseen } from './unseen.js';

/** Of the first trials with earlier studies: so many are those studies' best themselves. */
const earlierBests = 2;
/** An earlier study of fewer trials teaches nothing yet. */
const leastTrials = 10;

/**
 * The default: looks at the space, the budget and what is known, and needs no setting.
 *
 * Posterior samples of Bayesian linear models (`posteriorSamples`). Earlier studies of the space enter as further
 * features, the answers of their own models (stacking, Wolpert 1992); the best trials of two of them are the first
 * proposals, and their models choose more of the first batch in place of chance.
 * Near the end of a known budget the samples narrow towards the mean.
 */
export const auto = definePlugin({
  name: 'auto',
  options: z.strictObject({ initial: count(10), spread: positive(0.7) }),
  create: ({ initial, spread }) =>
    memoryless('auto', [], (n, context) => {
      const { history, pending, budget, earlier = [] } = context;
      const unseen = new Unseen(context);
      const transfers = earlier.some((study) => study.history.length >= leastTrials);
      const spent = history.length + pending.length;
      const bests = transfers ? takeBests(Math.min(n, earlierBests - spent), context, unseen) : [];
      // Much of a first batch stays random: earlier devices may have other limits than this one.
      const first = transfers ? earlierBests + Math.ceil(0.4 * initial) : initial;
      const missing = Math.max(0, first - spent - bests.length);
      const proposals = [...bests, ...randomProposals(Math.min(n - bests.length, missing), unseen)];
      const left = budget === undefined ? 1 : Math.max(0, 1 - history.length / budget);
      const width = spread * (0.3 + 0.7 * left);
      proposals.push(...posteriorSamples(n - proposals.length, context, unseen, [width]));
      return [...proposals, ...randomProposals(n - proposals.length, unseen)];
    }),
});

/** Each earlier study's best trial, one a study in turn, then their second best. */
function takeBests(n: number, context: AskContext, unseen: Unseen): Proposal[] {
  const studies = (context.earlier ?? []).filter(({ history }) => history.length >= leastTrials);
  const lists = studies.map((study) => bestOf(context, study, earlierBests));
  const inTurn = Array.from({ length: earlierBests }, (_, rank) =>
    lists.flatMap((list) => (list[rank] === undefined ? [] : [list[rank]])),
  ).flat();
  const proposals: Proposal[] = [];
  for (const architecture of inTurn)
    if (proposals.length < n && unseen.take(architecture))
      proposals.push({ architecture, note: 'best of an earlier study' });
  return proposals;
}

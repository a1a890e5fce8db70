import { z } from 'zod';
import { count, definePlugin, memoryless, positive } from './plugin.js';
import { posteriorSamples } from './posterior-samples.js';
import { randomProposals } from './random.js';
import { Unseen } from './unseen.js';

/**
 * The default: looks at the space, the budget and what is known, and needs no setting.
 *
 * Posterior samples of Bayesian linear models (`posteriorSamples`). Earlier studies of the space enter as further
 * features, the answers of their own models (stacking, Wolpert 1992), and choose the first trials in place of chance.
 * Near the end of a known budget the samples narrow towards the mean.
 */
export const auto = definePlugin({
  name: 'auto',
  options: z.strictObject({ initial: count(10), spread: positive(0.7) }),
  create: ({ initial, spread }) =>
    memoryless('auto', [], (n, context) => {
      const { history, pending, budget, earlier = [] } = context;
      const unseen = new Unseen(context);
      const transfers = earlier.some((study) => study.history.length >= 10);
      // Half of a first batch stays random: earlier devices may have other limits than this one.
      const first = transfers ? Math.ceil(initial / 2) : initial;
      const missing = Math.max(0, first - history.length - pending.length);
      const proposals = randomProposals(Math.min(n, missing), unseen);
      const left = budget === undefined ? 1 : Math.max(0, 1 - history.length / budget);
      const width = spread * (0.3 + 0.7 * left);
      proposals.push(...posteriorSamples(n - proposals.length, context, unseen, [width]));
      return [...proposals, ...randomProposals(n - proposals.length, unseen)];
    }),
});

import type { Architecture } from '../../core/architecture.js';
import type { AskContext, Proposal } from './contract.js';
import { MetricModel, toScale } from './learning/metric-model.js';
import { vocabularyOf } from './learning/vocabulary.js';
import { candidatePool } from './pool.js';
import type { Unseen } from './unseen.js';

/**
 * Every objective and limit gets a Bayesian linear model of the decisions; each proposal is the best candidate under
 * another posterior sample (Thompson sampling: Thompson 1933; batches as in Kandasamy et al. 2018), so that a batch
 * spreads by itself as far as knowledge is uncertain. Several objectives are weighed anew for every proposal by a random
 * Chebyshev scalarisation (Knowles 2006, equation 2). Spaces that can be listed are searched whole, others by breeding
 * on the models. `widths` scale the posterior's deviations, one a proposal, in turn. Fewer than n proposals where nothing
 * new is left; takes what it proposes from `unseen`.
 */
export function posteriorSamples(
  n: number,
  context: AskContext,
  unseen: Unseen,
  widths: readonly number[],
): Proposal[] {
  const { history, rng } = context;
  const proposals: Proposal[] = [];
  if (n === 0 || unseen.exhausted) return proposals;
  const models = modelsOf(context);
  const mean = scorer(context, models, () => 0.5);
  const feasible = feasibility(models);
  const within = withinLimits(models);
  const pool = candidatePool(context, (a) => mean(a) + within(a));
  const likely = pool.filter((a) => feasible(a) >= 0);
  const candidates =
    likely.length > 0 ? likely : [...pool].sort((a, b) => feasible(b) - feasible(a)).slice(0, 5 * n);
  while (proposals.length < n && !unseen.exhausted) {
    const score = scorer(context, models, () => 1 - rng.next(), widths[proposals.length % widths.length]);
    const best = bestUnseen(candidates, score, unseen);
    if (!best) break;
    unseen.take(best);
    proposals.push({
      architecture: best,
      note: history.length === 0 ? 'earlier studies' : 'posterior sample',
    });
  }
  return proposals;
}

/**
 * What guides a generator, within the range of normal scores since it stands in an exponent: the expected score, less what
 * is expected beyond a limit. Several objectives are weighed anew at every call, the least weight being 1.
 */
export function guides(context: AskContext): () => (architecture: Architecture) => number {
  const models = modelsOf(context);
  const within = withinLimits(models);
  return () => {
    const weights = context.objectives.map(() => 1 - context.rng.next());
    const least = Math.min(...weights);
    let next = 0;
    const score = scorer(context, models, () => (weights[next++] as number) / least);
    return (architecture) => Math.max(-8, Math.min(8, score(architecture) + within(architecture)));
  };
}

interface Models {
  readonly objectives: readonly MetricModel[];
  readonly limits: readonly { readonly model: MetricModel; readonly max: number }[];
}

function modelsOf({ space, history, objectives, constraints, earlier = [] }: AskContext): Models {
  const vocabulary = vocabularyOf(space);
  // Columns are numbered as they come: every row is read before a fit fixes the number of columns.
  for (const { architecture } of [...earlier.flatMap((study) => study.history), ...history])
    vocabulary.row(architecture);
  const told = history.filter(({ state }) => state !== 'failed');
  return {
    objectives: objectives.map(({ metric }) => new MetricModel(vocabulary, metric, 'rank', told, earlier)),
    limits: constraints.map(({ metric, max }) => ({
      model: new MetricModel(vocabulary, metric, 'log', told, earlier),
      max,
    })),
  };
}

/** Larger is better: the predicted score of one objective, or the worst weighted one of several. */
function scorer(
  { objectives, rng }: AskContext,
  models: Models,
  lambda: () => number,
  spread?: number,
): (architecture: Architecture) => number {
  const parts = models.objectives.map((model, i) => ({
    predict: spread === undefined ? model.predictor() : model.predictor(rng, spread),
    sign: objectives[i]?.goal === 'min' ? -1 : 1,
    weight: objectives.length === 1 ? 1 : lambda(),
  }));
  const [only] = parts;
  if (only && parts.length === 1) return (architecture) => only.sign * only.predict(architecture);
  // Normal scores lie within 4 of 0: costs within 0 and 8.
  return (architecture) =>
    -parts.reduce(
      (worst, { predict, sign, weight }) => Math.max(worst, (4 - sign * predict(architecture)) / weight),
      0,
    );
}

/** At least 0 where every limit is likely kept; the more negative, the further beyond a limit. */
function feasibility({ limits }: Models): (architecture: Architecture) => number {
  const parts = limits
    .filter(({ model }) => model.isFitted || model.hasSources)
    .map(({ model, max }) => ({ model, limit: toScale(max, model.scale), predict: model.predictor() }));
  return (architecture) =>
    parts.reduce((least, { model, limit, predict }) => {
      const slack = model.isFitted
        ? limit - predict(architecture) + 0.5 * model.deviation
        : model.earlierWithinLimit(architecture) - 0.5;
      return Math.min(least, slack);
    }, Number.POSITIVE_INFINITY);
}

/** Nothing where every limit is likely kept, else more than any score can make up for. */
function withinLimits(models: Models): (architecture: Architecture) => number {
  const feasible = feasibility(models);
  return (architecture) => 10 * Math.min(0, feasible(architecture));
}

/** The best-scored architecture that was not proposed yet. */
function bestUnseen(
  candidates: readonly Architecture[],
  score: (architecture: Architecture) => number,
  unseen: Unseen,
): Architecture | undefined {
  let best: { architecture: Architecture; value: number } | undefined;
  for (const architecture of candidates) {
    const value = score(architecture);
    if ((best === undefined || value > best.value) && !unseen.has(architecture))
      best = { architecture, value };
  }
  return best?.architecture;
}

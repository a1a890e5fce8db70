import type { Architecture } from '../../core/architecture.js';
import { pick, type Rng } from '../../core/rng.js';
import { selectionOrder } from '../pareto/dominance.js';
import type { Space } from '../spaces/contract.js';
import { boshnas } from './boshnas.js';
import type { AskContext, Proposal, Sampler, Trial } from './contract.js';
import { improvingPicks } from './improving-picks.js';
import { breed } from './offspring.js';
import { posteriorSamples } from './posterior-samples.js';
import { type Candidate, ratePredicted, spread, survivors } from './predicted-candidates.js';
import { randomProposals } from './random.js';
import { rateTrial } from './rating.js';
import { architectureKey, Unseen } from './unseen.js';

export interface LinasOptions {
  /** Random trials before the predictors are trusted. */
  readonly initial: number;
  readonly population: number;
  /** Candidates the inner search puts to the predictors in one ask. */
  readonly innerEvaluations: number;
  /** Share of each batch spent on the candidates whose predictions are least certain. */
  readonly uncertainShare: number;
  /** Share of each batch that models of another kind choose, which see beyond the best that was measured. */
  readonly secondShare: number;
}

/** Of the linear models' posterior deviations: near what they believe, and further off. */
const posteriorWidths = [0.3, 0.6, 0.9];

/**
 * Of what the second models choose. The best end of a front by accuracy spans more hypervolume than any other point, and
 * accuracy is what predictors know least; the best end of a cost is the smallest network, or near it.
 */
const endShare = 1 / 3;

/**
 * LINAS, the lightweight iterative search of DyNAS-T (Cummings et al. 2022, algorithm 1): a random first population is
 * measured; then, in every round, predictors are refitted, NSGA-II runs on their answers, and the best of what it
 * visited is measured next. Here part of each batch goes to the least certain of the promising candidates, and hard
 * limits are read at the lower end of a prediction's interval: only what surely breaks a limit is passed over. Another
 * part is BOSHNAS's, or posterior samples of linear models where a space has no dimensions: kernels know what is near the
 * measured ones, and where they alone err about the best end of a front, a search never gets there.
 */
export class LinasSampler implements Sampler {
  readonly name = 'linas';
  readonly needs = ['predict'] as const;
  readonly #options: LinasOptions;
  readonly #second: Sampler = boshnas.create(boshnas.options.parse({}));

  constructor(options: LinasOptions) {
    this.#options = options;
  }

  ask(n: number, context: AskContext): Proposal[] {
    const { initial, uncertainShare, secondShare } = this.#options;
    const unseen = new Unseen(context);
    const missing = Math.max(0, initial - context.history.length - context.pending.length);
    const proposals = opening(Math.min(n, missing), context.space, unseen);
    const left = n - proposals.length;
    if (left === 0 || unseen.exhausted) return proposals;

    const candidates = this.#search(context)?.filter(({ architecture }) => !unseen.has(architecture));
    if (!candidates || candidates.length === 0) return [...proposals, ...randomProposals(left, unseen)];
    const uncertain = someOf(left, uncertainShare, context.rng);
    // Their fit costs as much for one proposal as for many: every other batch has twice as many of them.
    const turn = secondShare <= 0.5 ? pick(context.rng, [0, 2]) : 1;
    const drawn = Math.min(left - uncertain, someOf(left, turn * secondShare, context.rng));
    for (const { architecture } of improvingPicks(candidates, left - uncertain - drawn, context)) {
      if (unseen.take(architecture)) proposals.push({ architecture, note: 'front' });
    }
    proposals.push(...this.#others(drawn, proposals, context, unseen));
    // Uncertain, yet not hopeless: only the better ranked candidates compete, and fill up what the front left open.
    const order = selectionOrder(candidates).map((i) => candidates[i] as Candidate);
    const promising = order.slice(0, Math.max(5 * n, Math.ceil(order.length / 5)));
    for (const { architecture } of promising.sort((x, y) => y.uncertainty - x.uncertainty)) {
      if (proposals.length < n && unseen.take(architecture))
        proposals.push({ architecture, note: 'uncertain' });
    }
    return [...proposals, ...randomProposals(n - proposals.length, unseen)];
  }

  /** What models of another kind choose beside the proposals so far: points of the front, and its best end by each quality. */
  #others(n: number, chosen: readonly Proposal[], context: AskContext, unseen: Unseen): Proposal[] {
    const { space, objectives, pending, rng } = context;
    const ends = objectives.length > 1 ? objectives.filter(({ goal }) => goal === 'max') : [];
    const atEnds = ends.length > 0 ? someOf(n, endShare, rng) : 0;
    const proposals: Proposal[] = [];
    const choose = (count: number, sought: AskContext['objectives']): void => {
      if (count === 0) return;
      const known = [...chosen, ...proposals].map(({ architecture }) => architecture);
      const asked = { ...context, objectives: sought, pending: [...pending, ...known] };
      proposals.push(
        ...(space.dims
          ? this.#second.ask(count, asked).filter(({ architecture }) => unseen.take(architecture))
          : posteriorSamples(count, asked, unseen, posteriorWidths)),
      );
    };
    for (let i = 0; i < atEnds; i++) choose(1, [pick(rng, ends)]);
    choose(n - atEnds, objectives);
    return proposals;
  }

  /** NSGA-II on predictions, started from the best measured trials; every candidate it visited. */
  #search(context: AskContext): Candidate[] | undefined {
    const { space, rng, history, objectives, constraints } = context;
    const { population: size, innerEvaluations } = this.#options;
    const best = selectionOrder(history.map((trial) => rateTrial(trial, objectives, constraints)));
    const visited = new Set<string>();
    const isNew = (architecture: Architecture): boolean => {
      const key = architectureKey(architecture);
      return !visited.has(key) && visited.add(key) !== undefined;
    };
    const founders = [
      ...best.slice(0, size).map((i) => (history[i] as Trial).architecture),
      ...Array.from({ length: size }, () => space.sample(rng)),
    ].filter(isNew);
    const spreads = objectives.map(({ metric }) => spread(history, metric));
    const rated = ratePredicted(founders, context, spreads);
    if (!rated) return undefined;
    let population = survivors(rated, size);
    const all = [...rated];
    for (let idle = 0; all.length < innerEvaluations && idle < 3; ) {
      const parents = population.map(({ architecture }) => architecture);
      const children = Array.from({ length: size }, () => breed(space, parents, rng, 0.9)).filter(isNew);
      idle = children.length === 0 ? idle + 1 : 0;
      const answers = ratePredicted(children, context, spreads) ?? [];
      population = survivors([...population, ...answers], size);
      all.push(...answers);
    }
    // Ranking is quadratic: thousands of candidates that no selection would reach are left out first.
    return survivors(all, 600);
  }

  tell(): void {}
  state(): null {
    return null;
  }
  restore(): void {}
}

/**
 * The space's known good architectures, the smallest and the largest among them, then random ones: shared weights are at
 * their best at the extremes, which every step of a sandwich training visits, and predictors need not extrapolate.
 */
function opening(n: number, space: Space, unseen: Unseen): Proposal[] {
  const seeds = (space.seeds?.() ?? []).filter((architecture) => !unseen.has(architecture)).slice(0, n);
  for (const architecture of seeds) unseen.take(architecture);
  const proposals = seeds.map((architecture) => ({ architecture, note: 'seed' }));
  return [...proposals, ...randomProposals(n - proposals.length, unseen)];
}

/** A share of n in whole numbers, right on average: batches of one must get their part as well. */
const someOf = (n: number, share: number, rng: Rng): number => Math.floor(n * share + rng.next());

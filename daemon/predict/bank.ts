import type { Architecture } from '../core/architecture.js';
import { canonicalJson, type Json } from '../core/json.js';
import type { Features, Predictions, PredictorScore, Views } from './contract.js';
import { milestone } from './milestone.js';
import { PickedPredictor } from './picked.js';
import type { CostModel } from './picker/other-models.js';
import { RidgePredictor } from './ridge.js';
import { evenly } from './statistics.js';
import { withTransfer } from './transfer.js';

export interface PredictorBankOptions {
  /** What a cost may follow, the likeliest first: executed operators, the same by type, decisions. */
  readonly costViews: (architecture: Architecture) => Views;
  /** One-hot decisions, or anything that tells architectures apart. */
  readonly decisionFeatures: (architecture: Architecture) => Features;
  /** Costs add up over operators; qualities do not. */
  readonly kindOf: (metric: string) => 'cost' | 'quality';
  /** Models of costs that compete with those of this folder. */
  readonly models?: readonly CostModel[];
  /** What answers for a metric while the study's own samples are too few, and is a view of its own a little longer. */
  readonly priors?: ReadonlyMap<string, (architectures: readonly Architecture[]) => Predictions>;
}

export interface BankSample {
  readonly architecture: Architecture;
  readonly values: Readonly<Record<string, number>>;
  /** By metric: standard error of the logarithm of its value; left out where that is unknown. */
  readonly deviations?: Readonly<Record<string, number>>;
}

export interface BankPrediction {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

type Fitted =
  | {
      readonly kind: 'cost';
      readonly predictor: PickedPredictor;
      readonly views: readonly Views[];
      readonly y: readonly number[];
    }
  | { readonly kind: 'quality'; readonly predictor: RidgePredictor };

/** A study measures this many before its predictions steer it. */
const leastSamples = 10;
/** Costs are learnt anew so often while their samples double, from at most so many of them, evenly drawn. */
const costFitsADoubling = 2;
const mostCostSamples = 512;
/** Beyond this many remembered feature vectors the cache starts afresh. */
const cacheLimit = 20_000;

/**
 * One predictor a metric, refitted on a study's history when it is first asked. Qualities are learnt from decisions, and
 * from every sample; costs from whichever view and model cross-validates best, which takes long and changes little, so
 * from the first samples, up to the last milestone of their number.
 */
export class PredictorBank {
  readonly #options: PredictorBankOptions;
  /** Undefined: too few samples know the metric. */
  readonly #fitted = new Map<string, Fitted | undefined>();
  /** Of the histories before: a fit goes on from there, or stands. */
  readonly #earlier = new Map<string, Fitted>();
  #history: readonly BankSample[] = [];
  readonly #views = new Map<string, Views>();
  readonly #decisions = new Map<string, Features>();

  constructor(options: PredictorBankOptions) {
    this.#options = options;
  }

  /** What predictions follow from now on; a sample may know only some metrics. */
  refit(history: readonly BankSample[]): void {
    for (const [metric, fitted] of this.#fitted) if (fitted) this.#earlier.set(metric, fitted);
    this.#fitted.clear();
    this.#history = history;
  }

  /** The samples of a history that a cost is learnt from; none as long as too few know it. */
  learntFrom<S extends BankSample>(metric: string, history: readonly S[]): S[] {
    const known = history.filter(({ values }) => (values[metric] ?? 0) > 0 && values[metric] !== Infinity);
    if (known.length < leastSamples) return [];
    return evenly(milestone(known.length, costFitsADoubling), mostCostSamples).map((i) => known[i] as S);
  }

  /** Undefined as long as the metric has too few measurements. */
  predict(metric: string, architectures: readonly Architecture[]): BankPrediction[] | undefined {
    const fitted = this.#fittedTo(metric);
    const prior = this.#options.priors?.get(metric);
    if (!fitted && !prior) return undefined;
    const { mean, low, high } =
      fitted?.kind === 'cost'
        ? fitted.predictor.predict(this.#costViews(metric, architectures, fitted.y.length))
        : (fitted?.predictor.predict(architectures.map((a) => this.#decisionsOf(a))) ??
          (prior as NonNullable<typeof prior>)(architectures));
    return architectures.map((_, i) => ({
      mean: mean[i] as number,
      low: low[i] as number,
      high: high[i] as number,
    }));
  }

  scores(): Record<string, PredictorScore & { readonly predictor: string }> {
    const metrics = new Set(this.#history.flatMap(({ values }) => Object.keys(values)));
    return Object.fromEntries(
      [...metrics].flatMap((metric) => {
        const predictor = this.#fittedTo(metric)?.predictor;
        if (!predictor) return [];
        const name = predictor instanceof PickedPredictor ? predictor.report().model : predictor.name;
        return [[metric, { predictor: name, ...predictor.score() }]];
      }),
    );
  }

  #fittedTo(metric: string): Fitted | undefined {
    if (!this.#fitted.has(metric)) this.#fitted.set(metric, this.#fit(metric));
    return this.#fitted.get(metric);
  }

  #fit(metric: string): Fitted | undefined {
    const earlier = this.#earlier.get(metric);
    return this.#options.kindOf(metric) === 'quality'
      ? this.#fitQuality(metric, earlier)
      : this.#fitCost(metric, earlier);
  }

  #fitQuality(metric: string, earlier: Fitted | undefined): Fitted | undefined {
    const known = this.#history.filter(({ values }) => Number.isFinite(values[metric] ?? Number.NaN));
    if (known.length < leastSamples) return undefined;
    const predictor = earlier?.kind === 'quality' ? earlier.predictor : new RidgePredictor();
    predictor.fit(
      known.map(({ architecture }) => this.#decisionsOf(architecture)),
      known.map(({ values }) => values[metric] as number),
    );
    return { kind: 'quality', predictor };
  }

  #fitCost(metric: string, earlier: Fitted | undefined): Fitted | undefined {
    const chosen = this.learntFrom(metric, this.#history);
    if (chosen.length === 0) return undefined;
    const architectures = chosen.map(({ architecture }) => architecture);
    const costs = chosen.map(({ values }) => values[metric] as number);
    // The cache gives equal architectures the same views.
    const views = architectures.map((architecture) => this.#viewsOf(architecture));
    const stands =
      earlier?.kind === 'cost' &&
      earlier.y.length === costs.length &&
      earlier.views.every((view, i) => view === views[i] && earlier.y[i] === costs[i]);
    if (stands) return earlier;
    const predictor = new PickedPredictor(this.#options.models);
    const deviations = chosen.map((sample) => sample.deviations?.[metric] ?? 0);
    predictor.fit(this.#costViews(metric, architectures, costs.length), costs, deviations);
    return { kind: 'cost', predictor, views, y: costs };
  }

  #costViews(metric: string, architectures: readonly Architecture[], samples: number): readonly Views[] {
    const views = architectures.map((a) => this.#viewsOf(a));
    const prior = this.#options.priors?.get(metric);
    return prior
      ? withTransfer(views, [{ name: 'known before', predict: () => prior(architectures) }], samples)
      : views;
  }

  #viewsOf(architecture: Architecture): Views {
    return remembered(this.#views, architecture, this.#options.costViews);
  }

  #decisionsOf(architecture: Architecture): Features {
    return remembered(this.#decisions, architecture, this.#options.decisionFeatures);
  }
}

function remembered<T>(cache: Map<string, T>, architecture: Architecture, make: (a: Architecture) => T): T {
  const key = canonicalJson(architecture as Json);
  const cached = cache.get(key);
  if (cached) return cached;
  if (cache.size >= cacheLimit) cache.clear();
  const made = make(architecture);
  cache.set(key, made);
  return made;
}

import type { Architecture } from '../core/architecture.js';
import { canonicalJson, type Json } from '../core/json.js';
import type { Features, Predictor, PredictorScore } from './contract.js';
import { createPredictor } from './registry.js';

export interface PredictorBankOptions {
  /** Operator and shape counts, MACs, bytes moved. */
  readonly costFeatures: (architecture: Architecture) => Features;
  /** One-hot decisions, or whatever tells architectures apart. */
  readonly decisionFeatures: (architecture: Architecture) => Features;
  /** Costs add up over operators; qualities do not. */
  readonly kindOf: (metric: string) => 'cost' | 'quality';
}

export interface BankSample {
  readonly architecture: Architecture;
  readonly values: Readonly<Record<string, number>>;
}

export interface BankPrediction {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

interface Fitted {
  readonly predictor: Predictor;
  readonly features: 'cost' | 'decision';
}

/** Beyond this many remembered feature vectors the cache starts afresh. */
const cacheLimit = 20_000;

/**
 * One predictor a metric, refitted on a study's history. Qualities are learnt from decisions; costs from operator
 * counts and from decisions, whichever cross-validates to the smaller percentage error.
 */
export class PredictorBank {
  readonly #options: PredictorBankOptions;
  readonly #fitted = new Map<string, Fitted>();
  readonly #cache = { cost: new Map<string, Features>(), decision: new Map<string, Features>() };

  constructor(options: PredictorBankOptions) {
    this.#options = options;
  }

  /** Learns every metric that enough samples know; a sample may know only some. */
  refit(history: readonly BankSample[]): void {
    this.#fitted.clear();
    for (const metric of new Set(history.flatMap(({ values }) => Object.keys(values)))) {
      const known = history.filter(({ values }) => Number.isFinite(values[metric]));
      const candidates = this.#candidates(metric).filter(
        ({ predictor }) => known.length >= predictor.minimumSamples,
      );
      const y = known.map(({ values }) => values[metric] as number);
      const fitted = candidates.filter(({ predictor, features }) => {
        if (predictor.name === 'lut' && y.some((value) => value <= 0)) return false;
        predictor.fit(
          known.map(({ architecture }) => this.#features(features, architecture)),
          y,
        );
        return true;
      });
      const [first, ...others] = fitted;
      if (!first) continue;
      const mape = ({ predictor }: Fitted): number => predictor.score().mape;
      this.#fitted.set(
        metric,
        others.reduce((best, other) => (mape(other) < mape(best) ? other : best), first),
      );
    }
  }

  /** Undefined as long as the metric has too few measurements. */
  predict(metric: string, architectures: readonly Architecture[]): BankPrediction[] | undefined {
    const fitted = this.#fitted.get(metric);
    if (!fitted) return undefined;
    const { mean, low, high } = fitted.predictor.predict(
      architectures.map((a) => this.#features(fitted.features, a)),
    );
    return architectures.map((_, i) => ({
      mean: mean[i] as number,
      low: low[i] as number,
      high: high[i] as number,
    }));
  }

  scores(): Record<string, PredictorScore & { readonly predictor: string }> {
    return Object.fromEntries(
      [...this.#fitted].map(([metric, { predictor }]) => [
        metric,
        { predictor: predictor.name, ...predictor.score() },
      ]),
    );
  }

  #candidates(metric: string): Fitted[] {
    const ridge: Fitted = { predictor: createPredictor('ridge'), features: 'decision' };
    return this.#options.kindOf(metric) === 'quality'
      ? [ridge]
      : [{ predictor: createPredictor('lut'), features: 'cost' }, ridge];
  }

  #features(kind: 'cost' | 'decision', architecture: Architecture): Features {
    const cache = this.#cache[kind];
    const key = canonicalJson(architecture as Json);
    const cached = cache.get(key);
    if (cached) return cached;
    if (cache.size >= cacheLimit) cache.clear();
    const features =
      kind === 'cost'
        ? this.#options.costFeatures(architecture)
        : this.#options.decisionFeatures(architecture);
    cache.set(key, features);
    return features;
  }
}

import { architectureId } from '../core/architecture.js';
import { HildaError } from '../core/errors.js';
import { costMetrics } from '../core/measurement.js';
import { Xoshiro128 } from '../core/rng.js';
import { PredictorBank } from '../predict/bank.js';
import { ParetoFront } from './pareto/pareto-front.js';
import type { Constraint, Objective, Proposal, Sampler, Trial } from './samplers/contract.js';
import type { Space } from './spaces/contract.js';
import { costViews, decisionFeatures } from './spaces/parts/cost-views.js';

export interface SearchOptions {
  readonly space: Space;
  readonly sampler: Sampler;
  readonly objectives: readonly Objective[];
  /** Hard limits on measured values: `metric <= max`. */
  readonly constraints?: readonly Constraint[];
  /** 0 by default. Equal seeds and equal answers give equal proposals. */
  readonly seed?: number;
  /** Trials that will be asked for in all; some samplers plan with it. */
  readonly budget?: number;
}

/** A proposal under the number by which its result is told. */
export interface AskedTrial extends Proposal {
  readonly number: number;
}

/**
 * A search in the caller's own process, without a daemon: ask for architectures, evaluate them by any means, tell the values.
 * The sampler hears results at the next ask, in the order of trials: within a batch, the order of telling changes nothing.
 */
export class Search {
  readonly #options: SearchOptions;
  readonly #rng: Xoshiro128;
  readonly #bank: PredictorBank;
  readonly #asked = new Map<number, AskedTrial>();
  /** Told by the caller, not yet to the sampler. */
  #news: Trial[] = [];
  readonly #history: Trial[] = [];
  readonly #seen = new Set<string>();
  #count = 0;

  /** Throws SPEC_INVALID where the sampler needs what the space lacks. */
  constructor(options: SearchOptions) {
    const { space, sampler, objectives, seed = 0 } = options;
    if (objectives.length === 0) throw new HildaError('SPEC_INVALID', 'a search needs an objective');
    const unmet = sampler.needs.filter(
      (need) => (need === 'dims' && !space.dims) || (need === 'crossover' && !space.crossover),
    );
    if (unmet.length > 0)
      throw new HildaError(
        'SPEC_INVALID',
        `the sampler ${sampler.name} needs ${unmet.join(', ')}, which the space ${space.id} lacks`,
      );
    this.#options = options;
    this.#rng = Xoshiro128.fromSeed(seed);
    const costs: ReadonlySet<string> = new Set(costMetrics);
    this.#bank = new PredictorBank({
      costViews: (architecture) => costViews(space, architecture),
      decisionFeatures: (architecture) => decisionFeatures(space, architecture),
      kindOf: (metric) => (costs.has(metric.split('@')[0] as string) ? 'cost' : 'quality'),
    });
  }

  /** Trials whose results are known, by number. */
  get history(): readonly Trial[] {
    return [...this.#history, ...this.#news].sort((a, b) => a.number - b.number);
  }

  /** Up to n architectures that were not asked before; fewer, or none, where the space is exhausted. */
  ask(n = 1): AskedTrial[] {
    const { space, sampler, objectives, constraints = [], budget } = this.#options;
    this.#tellSampler();
    this.#bank.refit(this.#history);
    const proposals = sampler.ask(n, {
      space,
      rng: this.#rng,
      objectives,
      constraints,
      history: [...this.#history],
      pending: [...this.#asked.values()].map(({ architecture }) => architecture),
      predict: this.#bank.predict.bind(this.#bank),
      ...(budget !== undefined && { budget }),
    });
    const fresh = proposals.filter(({ architecture }) => {
      const id = architectureId(space.id, architecture);
      const isNew = !this.#seen.has(id);
      this.#seen.add(id);
      return isNew;
    });
    return fresh.map((proposal) => {
      const trial = { ...proposal, number: this.#count++ };
      this.#asked.set(trial.number, trial);
      return trial;
    });
  }

  /**
   * The values of a trial by metric, each objective and each limit among them; null where it gave none. Throws NOT_FOUND for a
   * trial that was not asked or was told already, SPEC_INVALID for a value that is missing or not finite.
   */
  tell(number: number, values: Readonly<Record<string, number>> | null): Trial {
    const { space, objectives, constraints = [] } = this.#options;
    const asked = this.#asked.get(number);
    if (!asked) throw new HildaError('NOT_FOUND', `no trial ${number} waits for its result`);
    for (const { metric } of values ? [...objectives, ...constraints] : [])
      if (!Number.isFinite(values?.[metric]))
        throw new HildaError('SPEC_INVALID', `trial ${number}: the metric ${metric} has no finite value`);
    const isWithin = constraints.every(({ metric, max }) => (values?.[metric] as number) <= max);
    const trial: Trial = {
      number,
      id: architectureId(space.id, asked.architecture),
      architecture: asked.architecture,
      state: values === null ? 'failed' : isWithin ? 'complete' : 'infeasible',
      values: { ...values },
    };
    this.#asked.delete(number);
    this.#news.push(trial);
    return trial;
  }

  /** The complete trials that no other one beats in every objective, by number. */
  front(): readonly Trial[] {
    const front = new ParetoFront<Trial>();
    for (const trial of this.history) {
      if (trial.state !== 'complete') continue;
      const point = this.#options.objectives.map(
        ({ metric, goal }) => (trial.values[metric] as number) * (goal === 'min' ? 1 : -1),
      );
      front.add(point, trial);
    }
    return front.members.map(({ item }) => item).sort((a, b) => a.number - b.number);
  }

  #tellSampler(): void {
    if (this.#news.length === 0) return;
    const news = this.#news.sort((a, b) => a.number - b.number);
    this.#news = [];
    this.#history.push(...news);
    this.#history.sort((a, b) => a.number - b.number);
    this.#options.sampler.tell(news);
  }
}

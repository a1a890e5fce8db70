import type { Architecture } from '../../../core/architecture.js';
import type { Rng } from '../../../core/rng.js';
import type { EarlierStudy, Trial } from '../contract.js';
import { BayesianLinear, normalScores } from './bayesian-linear.js';
import type { SparseRow, Vocabulary } from './vocabulary.js';

/**
 * How a metric is learnt: `rank`, as normal scores of its ranks, where only the order matters (objectives); `log`, where
 * it is compared with a limit.
 */
export type Scale = 'rank' | 'log';

/** An earlier study's metric, fitted once. */
interface Source {
  readonly answer: (architecture: Architecture) => number;
  readonly draw: (rng: Rng, spread: number) => Float64Array;
  readonly limit: number | undefined;
}

/** Weight of an earlier study's answer as a feature: the larger, the less it is shrunk. */
const sourceGain = 4;
/** Beyond this many remembered answers a memo starts afresh. */
const memoLimit = 100_000;
const fitted = new WeakMap<Vocabulary, Map<string, Source | undefined>>();

/** One metric of the study under way: Bayesian linear regression on decisions, and on what earlier studies would say. */
export class MetricModel {
  readonly #vocabulary: Vocabulary;
  readonly #sources: readonly Source[];
  readonly #own: BayesianLinear | undefined;
  readonly scale: Scale;
  readonly #offset: number;
  /** Columns of decisions at the time of the fit. */
  readonly #baseSize: number;
  readonly #answers: Map<Architecture, Float64Array>;

  constructor(
    vocabulary: Vocabulary,
    metric: string,
    scale: Scale,
    trials: readonly Trial[],
    earlier: readonly EarlierStudy[],
  ) {
    this.#vocabulary = vocabulary;
    this.scale = scale;
    this.#baseSize = vocabulary.size;
    this.#answers = rememberedAnswers(vocabulary, `${scale} ${metric} ${earlier.map(({ id }) => id).join()}`);
    this.#sources = earlier.flatMap((study) => sourceOf(vocabulary, study, metric, scale) ?? []);
    const known = trials.filter(({ values }) => Number.isFinite(values[metric]));
    const y = transform(
      known.map(({ values }) => values[metric] as number),
      scale,
    );
    this.#offset = y.length > 0 ? y.reduce((a, b) => a + b, 0) / y.length : 0;
    if (known.length < 3) return;
    const rows = known.map(({ architecture }) => this.#row(architecture));
    this.#own = BayesianLinear.fit(
      rows,
      y.map((value) => value - this.#offset),
      this.#baseSize + this.#sources.length,
    );
  }

  /** Whether own measurements decide; before, earlier studies do. */
  get isFitted(): boolean {
    return this.#own !== undefined;
  }

  get hasSources(): boolean {
    return this.#sources.length > 0;
  }

  /** Standard deviation of the noise, on the model's scale. */
  get deviation(): number {
    return Math.sqrt(this.#own?.noise ?? 1);
  }

  /** Predicts on the model's scale; by one posterior sample where a generator is given. */
  predictor(rng?: Rng, spread = 1): (architecture: Architecture) => number {
    const own = this.#own;
    const sources = this.#sources;
    if (own) {
      const weights = rng ? own.draw(rng, spread) : own.weights;
      const base = weights.subarray(0, this.#baseSize);
      return (architecture) => {
        let sum = this.#offset + BayesianLinear.dot(base, this.#vocabulary.row(architecture));
        if (sources.length === 0) return sum;
        const answers = this.#answersOf(architecture);
        for (let k = 0; k < answers.length; k++)
          sum += sourceGain * (answers[k] as number) * (weights[this.#baseSize + k] as number);
        return sum;
      };
    }
    if (!rng) {
      return (architecture) =>
        sources.reduce((sum, { answer }) => sum + answer(architecture) / sources.length, 0);
    }
    const drawn = sources.map(({ draw }) => draw(rng, spread));
    return (architecture) => {
      const row = this.#vocabulary.row(architecture);
      return drawn.reduce((sum, weights) => sum + BayesianLinear.dot(weights, row), 0);
    };
  }

  /** Share of the earlier studies that held the architecture within their own limit of this metric. */
  earlierWithinLimit(architecture: Architecture): number {
    const limited = this.#sources.filter(({ limit }) => limit !== undefined);
    if (limited.length === 0) return 1;
    return (
      limited.filter(({ answer, limit }) => answer(architecture) <= (limit as number)).length / limited.length
    );
  }

  /** What every earlier study would say; asked for whole spaces at every ask, so remembered. */
  #answersOf(architecture: Architecture): Float64Array {
    let known = this.#answers.get(architecture);
    if (!known) {
      known = Float64Array.from(this.#sources, ({ answer }) => answer(architecture));
      if (this.#answers.size >= memoLimit) this.#answers.clear();
      this.#answers.set(architecture, known);
    }
    return known;
  }

  /** Decisions first, then one column an earlier study. */
  #row(architecture: Architecture): SparseRow {
    const { columns, values } = this.#vocabulary.row(architecture);
    if (this.#sources.length === 0) return { columns, values };
    const answers = Array.from(this.#answersOf(architecture), (answer) => sourceGain * answer);
    return {
      columns: Int32Array.from([...columns, ...answers.map((_, k) => this.#baseSize + k)]),
      values: Float64Array.from([...values, ...answers]),
    };
  }
}

export const toScale = (value: number, scale: Scale): number =>
  scale === 'log' ? Math.log(Math.max(value, 1e-12)) : value;

function transform(values: readonly number[], scale: Scale): number[] {
  return scale === 'log' ? values.map((value) => toScale(value, 'log')) : normalScores(values);
}

const answerMemos = new WeakMap<Vocabulary, Map<string, Map<Architecture, Float64Array>>>();

function rememberedAnswers(vocabulary: Vocabulary, key: string): Map<Architecture, Float64Array> {
  const memos = answerMemos.get(vocabulary) ?? new Map<string, Map<Architecture, Float64Array>>();
  answerMemos.set(vocabulary, memos);
  const memo = memos.get(key) ?? new Map<Architecture, Float64Array>();
  memos.set(key, memo);
  return memo;
}

function sourceOf(
  vocabulary: Vocabulary,
  study: EarlierStudy,
  metric: string,
  scale: Scale,
): Source | undefined {
  const memo = fitted.get(vocabulary) ?? new Map<string, Source | undefined>();
  fitted.set(vocabulary, memo);
  const key = `${study.id} ${scale} ${metric}`;
  if (!memo.has(key)) {
    const known = study.history.filter(({ values }) => Number.isFinite(values[metric]));
    const rows = known.map(({ architecture }) => vocabulary.row(architecture));
    const y = transform(
      known.map(({ values }) => values[metric] as number),
      scale,
    );
    const limit = study.constraints.find((constraint) => constraint.metric === metric)?.max;
    memo.set(
      key,
      known.length < 10 ? undefined : asSource(vocabulary, rows, y, limit && toScale(limit, scale)),
    );
  }
  return memo.get(key);
}

function asSource(
  vocabulary: Vocabulary,
  rows: readonly SparseRow[],
  y: readonly number[],
  limit: number | undefined,
): Source {
  const model = BayesianLinear.fit(rows, y, vocabulary.size);
  const answers = new Map<Architecture, number>();
  return {
    answer(architecture) {
      let answer = answers.get(architecture);
      if (answer === undefined) {
        answer = BayesianLinear.dot(model.weights, vocabulary.row(architecture));
        if (answers.size >= memoLimit) answers.clear();
        answers.set(architecture, answer);
      }
      return answer;
    },
    draw: (rng, spread) => model.draw(rng, spread),
    limit,
  };
}

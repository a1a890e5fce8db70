import type { Architecture } from '../core/architecture.js';
import { HildaError } from '../core/errors.js';
import { type Target, targetDifference } from '../core/target.js';
import { noParts, type PureParts } from '../plugins/pure-parts.js';
import type { Predictions, PredictorScore, Views } from '../predict/contract.js';
import { type DriftReport, detectDrift } from '../predict/drift.js';
import { calibratedSamples, PickedPredictor, type PickReport } from '../predict/picked.js';
import { predictByTable, uncheckedFactor } from '../predict/tables/table-predictor.js';
import { withTable, withTransfer } from '../predict/transfer.js';
import type { Block, Space } from '../search/spaces/contract.js';
import { costViews } from '../search/spaces/parts/cost-views.js';
import { loadSpace } from '../search/spaces/registry.js';
import type { PredictorRecord } from '../store/contract.js';
import { type PredictorBody, readBody } from './predictor-body.js';

/**
 * A predictor out of the store, fitted and ready to answer for one target. An imported table answers by its sums until
 * there are samples enough to learn how they lie to whole networks.
 */
export class StoredPredictor {
  readonly record: PredictorRecord;
  readonly body: PredictorBody;
  readonly space: Space;
  /** Undefined: a table alone. */
  readonly #model: PickedPredictor | undefined;
  readonly #table: ReadonlyMap<string, { count: number; mean: number; variance: number }> | undefined;
  readonly #sources: readonly StoredPredictor[];

  /** `sources`: predictors of the same space and metric on other targets. Throws PREDICTOR_CORRUPT, PREDICTOR_UNFIT. */
  constructor(
    record: PredictorRecord,
    sources: readonly StoredPredictor[] = [],
    { spaces, models }: Pick<PureParts, 'spaces' | 'models'> = noParts,
  ) {
    this.record = record;
    this.body = readBody(record);
    this.space = loadSpace(this.body.space, undefined, spaces);
    this.#sources = sources.filter(({ body }) => (body.table?.missing.length ?? 0) === 0);
    const { samples, table } = this.body;
    if (table) this.#table = new Map(table.entries.map(({ key, ...entry }) => [key, entry]));
    const model = new PickedPredictor(models);
    if (table && samples.length < model.minimumSamples) return;
    this.#model = model;
    model.fit(
      this.#describe(samples.map(({ architecture }) => architecture as Architecture)),
      samples.map(({ value }) => value),
      samples.map(({ deviation = 0 }) => deviation),
    );
  }

  /** Throws TARGET_MISMATCH when asked about another target, naming the keys that differ; ARCHITECTURE_INVALID. */
  predict(architectures: readonly Architecture[], target: Target = this.record.target): Predictions {
    const differing = targetDifference(this.record.target, target);
    if (differing.length > 0) {
      const shown = differing.map((key) => `${key} ${this.record.target[key]}, not ${target[key]}`);
      throw new HildaError('TARGET_MISMATCH', `${this.record.id} knows another target: ${shown.join('; ')}`, {
        details: { differing },
      });
    }
    return this.#answer(architectures.map((a) => this.space.normalise(a)));
  }

  /** Null: nothing was measured that a table alone could be held against. */
  score(): PredictorScore | null {
    return this.#model?.score() ?? null;
  }

  report(): PickReport {
    return (
      this.#model?.report() ?? {
        model: `sums of an imported table of ${this.body.table?.keys}`,
        transform: this.body.table?.keys ?? '',
        candidates: {},
      }
    );
  }

  heldOut(): readonly number[] {
    return this.#model?.heldOut() ?? [];
  }

  drift(): DriftReport {
    return detectDrift(this.body.live);
  }

  /** What must be said beside its numbers; empty when nothing. */
  cautions(): string[] {
    const { samples, table } = this.body;
    const n = samples.length;
    return [
      ...(table && !this.#model
        ? [
            `imported from ${table.source}, and never held against whole networks here: the interval is a factor of ${uncheckedFactor} set by hand, and more by the table's own spread`,
          ]
        : []),
      ...(table?.keys === 'layers'
        ? ['the table holds searched layers alone: stem and head are not in its sums']
        : []),
      ...(table && table.missing.length > 0
        ? [`the table lacks ${table.missing.length} keys of the space: networks that need them are refused`]
        : []),
      ...(this.#model && n < calibratedSamples
        ? [`${n} samples: the interval is wide, and its 90 % hold only from ${calibratedSamples} on`]
        : []),
      ...(this.drift().state === 'drifted' ? [`drifted: ${this.drift().reason}`] : []),
    ];
  }

  #answer(architectures: readonly Architecture[]): Predictions {
    return this.#model?.predict(this.#describe(architectures)) ?? this.#byTable(architectures);
  }

  #byTable(architectures: readonly Architecture[]): Predictions {
    const { keys } = this.body.table as NonNullable<PredictorBody['table']>;
    const blocks = architectures.map((a) => this.space.blocks?.(a) as readonly Block[]);
    return predictByTable(this.#table ?? new Map(), keys, blocks);
  }

  #describe(architectures: readonly Architecture[]): readonly Views[] {
    const views = architectures.map((a) => costViews(this.space, a));
    if (this.#table) return withTable(views, this.#byTable(architectures).mean);
    const sources = this.#sources.map((source) => ({
      name: source.record.id,
      predict: () => source.#answer(architectures),
    }));
    return withTransfer(views, sources, this.body.samples.length);
  }
}

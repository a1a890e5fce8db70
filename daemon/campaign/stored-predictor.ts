import type { Architecture } from '../core/architecture.js';
import { HildaError } from '../core/errors.js';
import { type Target, targetDifference } from '../core/target.js';
import type { Predictions, PredictorScore } from '../predict/contract.js';
import { type DriftReport, detectDrift } from '../predict/drift.js';
import { calibratedSamples, PickedPredictor, type PickReport } from '../predict/picked.js';
import { type SourceTarget, withTransfer } from '../predict/transfer.js';
import type { Space } from '../search/spaces/contract.js';
import { costViews } from '../search/spaces/cost-views.js';
import { loadSpace } from '../search/spaces/registry.js';
import type { PredictorRecord } from '../store/contract.js';
import { type PredictorBody, readBody } from './predictor-body.js';

/** A predictor out of the store, fitted and ready to answer for one target. */
export class StoredPredictor {
  readonly record: PredictorRecord;
  readonly body: PredictorBody;
  readonly space: Space;
  readonly #model: PickedPredictor;
  readonly #sources: readonly SourceTarget[];

  /** `sources`: predictors of the same space and metric on other targets. Throws PREDICTOR_CORRUPT, PREDICTOR_UNFIT. */
  constructor(record: PredictorRecord, sources: readonly StoredPredictor[] = []) {
    this.record = record;
    this.body = readBody(record);
    this.space = loadSpace(this.body.space);
    this.#model = new PickedPredictor();
    this.#sources = sources.map((source) => ({
      name: source.record.id,
      predict: (samples) => source.#model.predict(samples),
    }));
    this.#model.fit(
      this.#describe(this.body.samples.map(({ architecture }) => architecture as Architecture)),
      this.body.samples.map(({ value }) => value),
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
    return this.#model.predict(this.#describe(architectures.map((a) => this.space.normalise(a))));
  }

  score(): PredictorScore {
    return this.#model.score();
  }

  report(): PickReport {
    return this.#model.report();
  }

  heldOut(): readonly number[] {
    return this.#model.heldOut();
  }

  drift(): DriftReport {
    return detectDrift(this.body.live);
  }

  /** What must be said beside its numbers; empty when nothing. */
  cautions(): string[] {
    const n = this.body.samples.length;
    return [
      ...(n < calibratedSamples
        ? [`${n} samples: the interval is wide, and its 90 % hold only from ${calibratedSamples} on`]
        : []),
      ...(this.drift().state === 'drifted' ? [`drifted: ${this.drift().reason}`] : []),
    ];
  }

  #describe(architectures: readonly Architecture[]) {
    return withTransfer(
      architectures.map((a) => costViews(this.space, a)),
      this.#sources,
      this.body.samples.length,
    );
  }
}

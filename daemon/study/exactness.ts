import type { MeasurementId } from '../core/ids.js';
import type { Interval } from '../core/intervals.js';
import { costIntervals, costMetrics, costsOf } from '../core/measurement.js';
import { withinOf } from '../measure/sessions.js';
import type { PredictorBank } from '../predict/bank.js';
import type { MeasurementRecord, Store, TrialRecord } from '../store/contract.js';
import { deviceMetric, type StudySpec } from './spec.js';
import { toTrial } from './told-trial.js';

/**
 * 95 % intervals of a trial's measured costs, by metric: those of the device itself, or of the equivalent one that stood
 * in for it.
 */
export function measuredIntervals(
  { values }: TrialRecord,
  taken: readonly MeasurementRecord[],
  spec: StudySpec,
): Record<string, Interval> {
  const measured = spec.devices.flatMap((id, index) =>
    costMetrics.flatMap((cost) => {
      const metric = deviceMetric(cost, spec, index);
      const own =
        taken.find(({ deviceId }) => deviceId === id) ??
        taken.find((one) => costsOf(one)[cost] === values[metric]);
      const ci = own && costIntervals(own)[cost];
      return ci ? [[metric, ci] as const] : [];
    }),
  );
  return Object.fromEntries(measured);
}

type Deviations = Readonly<Record<string, number>>;

/** Gives a study's predictors its trials, each with how exactly its costs were measured. */
export class ExactSamples {
  readonly #spec: StudySpec;
  readonly #store: Pick<Store, 'measurementsById'>;
  /** The costs that the study predicts: those of its objectives and limits. */
  readonly #costs: readonly string[];
  /** By trial number; a trial that was measured on a further device since is read again. */
  readonly #read = new Map<number, { readonly measured: number; readonly deviations: Deviations }>();

  constructor(spec: StudySpec, store: Pick<Store, 'measurementsById'>) {
    this.#spec = spec;
    this.#store = store;
    const asked = new Set([...spec.objectives, ...spec.constraints].map(({ metric }) => metric));
    this.#costs = spec.devices
      .flatMap((_, index) => costMetrics.map((cost) => deviceMetric(cost, spec, index)))
      .filter((metric) => asked.has(metric));
  }

  /** Reads the measurements of those trials alone that the bank learns from, each once. */
  async refit(bank: PredictorBank, trials: readonly TrialRecord[]): Promise<void> {
    const history = trials.map(toTrial);
    const learnt = new Set(
      this.#costs.flatMap((metric) => bank.learntFrom(metric, history).map((t) => t.number)),
    );
    await this.#readNew(trials.filter(({ number }) => learnt.has(number)));
    bank.refit(
      history.map((trial) => {
        const deviations = this.#read.get(trial.number)?.deviations;
        return deviations ? { ...trial, deviations } : trial;
      }),
    );
  }

  async #readNew(trials: readonly TrialRecord[]): Promise<void> {
    const idsOf = ({ measurements }: TrialRecord): MeasurementId[] => Object.values(measurements);
    const unread = trials.filter((trial) => this.#read.get(trial.number)?.measured !== idsOf(trial).length);
    if (unread.length === 0) return;
    const known = await this.#store.measurementsById(unread.flatMap(idsOf));
    for (const trial of unread) {
      const taken = idsOf(trial).flatMap((id) => known.get(id) ?? []);
      const intervals = Object.entries(measuredIntervals(trial, taken, this.#spec));
      // A bound of 0 has no logarithm: such a cost weighs as an exact one.
      const deviations = intervals.map(([metric, ci]) => [metric, ci[0] > 0 ? withinOf(ci) : 0]);
      this.#read.set(trial.number, {
        measured: idsOf(trial).length,
        deviations: Object.fromEntries(deviations),
      });
    }
  }
}

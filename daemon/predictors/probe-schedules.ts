import { z } from 'zod';
import type { Clock } from '../core/clock.js';
import { asHildaError } from '../core/errors.js';
import type { PredictorId } from '../core/ids.js';
import { type Recurring, recur } from '../fleet/cron.js';
import type { Store } from '../store/contract.js';
import type { PredictorService } from './predictor-service.js';
import { type ProbeSchedule, type ProbeScheduleState, probeScheduleStateSchema } from './probe-schedule.js';

const storedSchema = z.record(z.string(), probeScheduleStateSchema.strict());

export interface ProbeSchedulesOptions {
  readonly store: Store;
  readonly predictors: Pick<PredictorService, 'open' | 'probe' | 'finished' | 'refit'>;
  readonly clock: Clock;
}

const storeKey = 'probe schedules';

/**
 * Probes of predictors at fixed times: networks that they have not seen are measured, and what they had said is held
 * against it. Schedules live in the store and outlast the daemon. Every probe is told as an event on the topic
 * `predictors`; `outcome: drifted` is the alarm.
 */
export class ProbeSchedules {
  readonly #options: ProbeSchedulesOptions;
  readonly #running = new Map<string, Recurring>();
  /** Changes are written one after the other: two at once would lose one of them. */
  #writing: Promise<unknown> = Promise.resolve();

  constructor(options: ProbeSchedulesOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    for (const [id, plan] of Object.entries(await this.#stored())) this.#launch(id as PredictorId, plan);
  }

  async stop(): Promise<void> {
    const running = [...this.#running.values()];
    this.#running.clear();
    await Promise.all(running.map((job) => job.stop()));
  }

  async of(id: PredictorId): Promise<ProbeScheduleState | null> {
    return (await this.#stored())[id] ?? null;
  }

  /** Throws PREDICTOR_UNKNOWN, PREDICTOR_CORRUPT, SCHEDULE_INVALID; an earlier schedule then stays. */
  async set(id: PredictorId, plan: ProbeSchedule): Promise<ProbeScheduleState> {
    await this.#options.predictors.open(id);
    const before = this.#running.get(id);
    this.#launch(id, plan);
    await before?.stop();
    await this.#change(id, (known) => ({ ...plan, last: known?.last ?? null }));
    return (await this.of(id)) as ProbeScheduleState;
  }

  async clear(id: PredictorId): Promise<void> {
    await this.#running.get(id)?.stop();
    this.#running.delete(id);
    await this.#change(id, () => undefined);
  }

  #launch(id: PredictorId, { cron, count, refit }: ProbeSchedule): void {
    this.#running.set(
      id,
      recur(cron, () => this.#probe(id, count, refit)),
    );
  }

  async #probe(id: PredictorId, count: number, refit: boolean): Promise<void> {
    const { store, predictors, clock } = this.#options;
    const atMs = clock.nowMs();
    let last: ProbeScheduleState['last'];
    try {
      // Another time, other networks.
      const campaign = await predictors.probe(id, count, Math.floor(atMs / 1000));
      const { error } = await predictors.finished(campaign.id);
      if (error) throw error;
      const { state, reason } = (await predictors.open(id)).drift();
      last = { atMs, outcome: state, reason };
      if (state === 'drifted' && refit) await predictors.refit(id);
    } catch (thrown) {
      const { code, message } = asHildaError(thrown);
      last = { atMs, outcome: 'failed', reason: `${code}: ${message}` };
    }
    const told = last;
    await this.#change(id, (known) => known && { ...known, last: told });
    await store.publish('predictors', { type: 'probe', predictorId: id, ...told });
  }

  async #stored(): Promise<Record<string, ProbeScheduleState>> {
    return storedSchema.parse((await this.#options.store.value(storeKey)) ?? {});
  }

  #change(
    id: PredictorId,
    next: (known: ProbeScheduleState | undefined) => ProbeScheduleState | undefined,
  ): Promise<void> {
    const change = this.#writing.then(async () => {
      const { [id]: known, ...others } = await this.#stored();
      const changed = next(known);
      await this.#options.store.setValue(storeKey, changed ? { ...others, [id]: changed } : others);
    });
    this.#writing = change.catch(() => {});
    return change;
  }
}

import { z } from 'zod';
import type { Clock } from '../core/clock.js';
import { asHildaError, type HildaError } from '../core/errors.js';
import type { PredictorId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import { unlessAborted } from '../core/unless-aborted.js';
import type { Firing } from '../schedules/schedule.js';
import type { Schedules } from '../schedules/schedules.js';
import type { Store } from '../store/contract.js';
import type { ScheduleRecord } from '../store/schedule-contract.js';
import type { PredictorService } from './predictor-service.js';
import {
  type ProbeSchedule,
  type ProbeScheduleState,
  probeRequestSchema,
  probeScheduleStateSchema,
} from './probe-schedule.js';

export interface ProbeSchedulesOptions {
  readonly store: Store;
  readonly predictors: Pick<PredictorService, 'open' | 'probe' | 'finished' | 'refit'>;
  readonly schedules: Pick<Schedules, 'define' | 'put' | 'list' | 'remove'>;
  readonly clock: Clock;
}

/** Where versions before schedules of all kinds kept those of probes. */
const formerKey = 'probe schedules';
const formerSchema = z.record(z.string(), probeScheduleStateSchema.strict());

const nameOf = (id: PredictorId): string => `probe of ${id}`;

/**
 * Probes of predictors at fixed times: networks that they have not seen are measured, and what they had said is held
 * against it. Each is a schedule of the kind `probe`. Every probe is told as an event on the topic `predictors`;
 * `outcome: drifted` is the alarm.
 */
export class ProbeSchedules {
  readonly #options: ProbeSchedulesOptions;

  constructor(options: ProbeSchedulesOptions) {
    this.#options = options;
    options.schedules.define('probe', {
      check: async (request) =>
        void (await options.predictors.open(probeRequestSchema.parse(request).predictor as PredictorId)),
      run: (request, firing) => this.#probe(request, firing),
    });
  }

  /** Takes over what a former version stored. Before the schedules start. */
  async start(): Promise<void> {
    const { store } = this.#options;
    const former = formerSchema.parse((await store.value(formerKey)) ?? {});
    if (Object.keys(former).length === 0) return;
    // One whose predictor is damaged is not worth a daemon that does not start.
    for (const [id, { last: _, ...plan }] of Object.entries(former))
      await this.set(id as PredictorId, plan).catch(() => {});
    await store.setValue(formerKey, {});
  }

  async of(id: PredictorId): Promise<ProbeScheduleState | null> {
    const known = (await this.#options.schedules.list()).find(({ name }) => name === nameOf(id));
    if (!known) return null;
    // Firings that were skipped say nothing of the predictor.
    const firings = await this.#options.store.firings(known.name, { limit: 1000 });
    const last = firings.find(({ outcome }) => outcome === 'done' || outcome === 'failed') ?? null;
    return stateOf({ ...known, last });
  }

  /** Throws PREDICTOR_UNKNOWN, PREDICTOR_CORRUPT, SCHEDULE_INVALID; an earlier schedule then stays. */
  async set(id: PredictorId, { cron, count, refit }: ProbeSchedule): Promise<ProbeScheduleState> {
    await this.#options.predictors.open(id);
    const timezone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const timing = { cron, timezone, catchUp: false };
    const request = { predictor: id, count, refit };
    await this.#options.schedules.put({ name: nameOf(id), kind: 'probe', timing, request });
    return (await this.of(id)) as ProbeScheduleState;
  }

  async clear(id: PredictorId): Promise<void> {
    await this.#options.schedules.remove(nameOf(id)).catch((thrown: unknown) => {
      if (asHildaError(thrown).code !== 'NOT_FOUND') throw thrown;
    });
  }

  async #probe(request: Json, { signal }: Firing): Promise<Json> {
    const { store, predictors, clock } = this.#options;
    const { predictor, count, refit } = probeRequestSchema.parse(request);
    const id = predictor as PredictorId;
    const atMs = clock.nowMs();
    let told: { outcome: 'steady' | 'drifted' | 'too-few' | 'failed'; reason: string };
    let failure: HildaError | null = null;
    try {
      // Another time, other networks.
      const campaign = await predictors.probe(id, count, Math.floor(atMs / 1000));
      const { error } = await unlessAborted(predictors.finished(campaign.id), signal);
      if (error) throw error;
      const { state, reason } = (await predictors.open(id)).drift();
      told = { outcome: state, reason };
      if (state === 'drifted' && refit) await predictors.refit(id);
    } catch (thrown) {
      signal.throwIfAborted();
      failure = asHildaError(thrown);
      told = { outcome: 'failed', reason: `${failure.code}: ${failure.message}` };
    }
    await store.publish('predictors', { type: 'probe', predictorId: id, atMs, ...told });
    if (failure) throw failure;
    return told;
  }
}

const toldSchema = z.object({
  outcome: z.enum(['steady', 'drifted', 'too-few']),
  reason: z.string(),
});
const failedSchema = z.object({ code: z.string(), message: z.string() });

function stateOf({ timing, request, last }: ScheduleRecord): ProbeScheduleState {
  const { count, refit } = probeRequestSchema.parse(request);
  const plan = { cron: timing.cron, count, refit };
  const told = toldSchema.safeParse(last?.detail).data;
  const failed = last?.outcome === 'failed' ? failedSchema.safeParse(last.detail).data : undefined;
  if (last && told) return { ...plan, last: { atMs: last.atMs, ...told } };
  if (!last || !failed) return { ...plan, last: null };
  const reason = `${failed.code}: ${failed.message}`;
  return { ...plan, last: { atMs: last.atMs, outcome: 'failed', reason } };
}

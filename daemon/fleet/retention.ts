import { z } from 'zod';
import type { Clock } from '../core/clock.js';
import { asHildaError, type HildaError } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import type { Store } from '../store/contract.js';
import { type Recurring, recur } from './cron.js';
import type { Presence } from './lookout.js';

/** What is forgotten, and when. */
export const retentionPolicySchema = z.strictObject({
  /** Events live so long. */
  eventDays: z.number().min(1).max(36_500).default(90),
  /** And no more than so many of them. */
  mostEvents: z.number().int().min(1000).default(1_000_000),
  /** A device that was not seen for so long, and was never used, is forgotten. */
  deviceDays: z.number().min(1).max(36_500).default(180),
  /** When it is done by itself, as a cron expression in local time; null: never. */
  schedule: z.string().nullable().default('40 3 * * *'),
});
export type RetentionPolicy = z.infer<typeof retentionPolicySchema>;

export interface Forgotten {
  readonly events: number;
  readonly eventsKept: number;
  readonly devices: number;
  /** The first of them, by id. */
  readonly deviceIds: readonly DeviceId[];
  readonly dryRun: boolean;
}

export interface RetentionOptions {
  readonly store: Store;
  readonly pool: { presence(id: DeviceId): Presence };
  readonly clock: Clock;
  readonly policy: RetentionPolicy;
  readonly onError?: (error: HildaError, place: string) => void;
}

const dayMs = 24 * 3600 * 1000;
/** In one transaction each: others write in between. */
const eventsAtOnce = 5000;
const devicesAtOnce = 50;
/** Of device ids in an answer. */
const mostShown = 100;

/** Forgets old events and devices that nobody used, by the policy; what anything names stays. */
export class Retention {
  readonly policy: RetentionPolicy;
  readonly #options: RetentionOptions;
  readonly #life = new AbortController();
  #recurring: Recurring | undefined;
  /** One after another. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: RetentionOptions) {
    this.#options = options;
    this.policy = options.policy;
  }

  /** Throws SCHEDULE_INVALID. */
  start(): void {
    const { schedule } = this.policy;
    if (schedule !== null) this.#recurring = recur(schedule, () => this.#byItself());
  }

  async stop(): Promise<void> {
    this.#life.abort();
    await this.#recurring?.stop();
    await this.#turn;
  }

  /** With `dryRun` nothing is forgotten: the answer is what would be. */
  prune({ dryRun = false }: { readonly dryRun?: boolean } = {}): Promise<Forgotten> {
    const pruned = this.#turn.then(() => this.#prune(dryRun));
    this.#turn = pruned.catch(() => {});
    return pruned;
  }

  async #prune(dryRun: boolean): Promise<Forgotten> {
    const { store, clock, policy } = this.#options;
    const nowMs = clock.nowMs();
    // First, since forgetting devices makes events.
    const devices = await this.#devices(nowMs - policy.deviceDays * dayMs, dryRun);
    const limits = { beforeMs: nowMs - policy.eventDays * dayMs, most: policy.mostEvents };
    const { count, upToSeq, kept } = await store.oldEvents(limits);
    let events = dryRun ? count : 0;
    for (let left = count; !dryRun && left > 0 && !this.#life.signal.aborted; ) {
      const some = await store.forgetEvents(upToSeq, eventsAtOnce);
      if (some === 0) break;
      events += some;
      left -= some;
    }
    const eventsKept = kept + (count - events);
    return { events, eventsKept, devices: devices.length, deviceIds: devices.slice(0, mostShown), dryRun };
  }

  async #devices(beforeMs: number, dryRun: boolean): Promise<DeviceId[]> {
    const { store, pool } = this.#options;
    const forgotten: DeviceId[] = [];
    let after: DeviceId | null = null;
    while (!this.#life.signal.aborted) {
      const page: DeviceId[] = await store.unusedDevices({ beforeMs, after, most: devicesAtOnce });
      const absent = page.filter((id) => !pool.presence(id).present);
      forgotten.push(
        ...(dryRun || absent.length === 0 ? absent : await store.forgetDevices(absent, beforeMs)),
      );
      if (page.length < devicesAtOnce) break;
      after = page.at(-1) ?? null;
    }
    return forgotten;
  }

  async #byItself(): Promise<void> {
    try {
      const { store } = this.#options;
      const { events, devices } = await this.prune();
      if (events + devices > 0) await store.publish('retention', { type: 'pruned', events, devices });
    } catch (thrown) {
      this.#options.onError?.(asHildaError(thrown), 'forgetting what is old');
    }
  }
}

import { z } from 'zod';
import type { Clock } from '../../core/clock.js';
import { asHildaError, type HildaError } from '../../core/errors.js';
import type { DeviceId } from '../../core/ids.js';
import type { Json } from '../../core/json.js';
import { type Recurring, recur } from '../../fleet/cron.js';
import type { Presence } from '../../fleet/lookout.js';
import type { AlertRecord } from '../../store/alert-contract.js';
import type { Store } from '../../store/contract.js';

/** What happened since the last digest that was sent. */
export interface Digest {
  readonly fromMs: number;
  readonly untilMs: number;
  /** How many there were, by verdict. */
  readonly measurements: Readonly<Record<string, number>>;
  /** Alerts raised since, and all that are open, the newest ten of these with it. */
  readonly raised: number;
  readonly open: number;
  readonly newest: readonly AlertRecord[];
  /** Devices in use that are not here, and those that are in quarantine. */
  readonly away: readonly DeviceId[];
  readonly quarantined: readonly { readonly id: DeviceId; readonly reason: string | null }[];
}

export interface DigestsOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly pool: { presence(id: DeviceId): Presence };
  /** Messages were queued. */
  readonly onQueued: () => void;
  readonly onError?: (error: HildaError, place: string) => void;
}

/** Every morning, local time. */
const schedule = '0 8 * * *';
const dayMs = 24 * 3_600_000;
const newest = 10;
/** Alerts that are counted since the last digest. */
const counted = 1000;
const key = 'digest.since';
const sinceSchema = z.object({ ordinal: z.number(), atMs: z.number() });

/** Tells webhooks once a day what happened. A day on which the daemon did not run is part of the next digest. */
export class Digests {
  readonly #options: DigestsOptions;
  #recurring: Recurring | undefined;

  constructor(options: DigestsOptions) {
    this.#options = options;
  }

  start(): void {
    this.#recurring = recur(schedule, async () => {
      try {
        await this.send();
      } catch (thrown) {
        this.#options.onError?.(asHildaError(thrown), 'the daily digest');
      }
    });
  }

  async stop(): Promise<void> {
    await this.#recurring?.stop();
  }

  async compose(): Promise<Digest> {
    return (await this.#compose()).digest;
  }

  /** Queues it for all webhooks; the next one begins where it ends. */
  async send(): Promise<Digest> {
    const { store, onQueued } = this.#options;
    const { digest, upTo } = await this.#compose();
    await store.queueDelivery({
      kind: 'digest',
      body: digest as unknown as Json,
      values: { [key]: { ordinal: upTo, atMs: digest.untilMs } },
    });
    onQueued();
    return digest;
  }

  async #compose(): Promise<{ readonly digest: Digest; readonly upTo: number }> {
    const { store, clock, pool } = this.#options;
    const untilMs = clock.nowMs();
    const known = sinceSchema.safeParse(await store.value(key));
    const since = known.success ? known.data : { ordinal: 0, atMs: untilMs - dayMs };
    const { verdicts, upTo } = await store.verdictsAfter(since.ordinal);
    const alerts = await store.alerts({ limit: counted });
    const devices = await store.devices();
    const digest: Digest = {
      fromMs: since.atMs,
      untilMs,
      measurements: verdicts,
      raised: alerts.filter(({ raisedMs, muted }) => raisedMs > since.atMs && !muted).length,
      open: await store.alertCount({ state: 'open' }),
      newest: await store.alerts({ state: 'open', limit: newest }),
      away: devices
        .filter(({ state, id }) => state === 'adopted' && !pool.presence(id).present)
        .map(({ id }) => id),
      quarantined: devices.flatMap(({ state, id, reason }) =>
        state === 'quarantined' ? [{ id, reason }] : [],
      ),
    };
    return { digest, upTo };
  }
}

import type { Clock } from '../../core/clock.js';
import { asHildaError, type HildaError } from '../../core/errors.js';
import type { DeviceId } from '../../core/ids.js';
import type { Store } from '../../store/contract.js';
import type { Span } from '../../store/presence-contract.js';
import type { Presence } from '../lookout.js';

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;
/** How long spans are kept: a week, and the day in which a question may come. */
const keptMs = 8 * dayMs;

/** The share of the time in which a daemon looked that a device was there. */
export interface Availability {
  /** Null where no daemon looked. */
  readonly share: number | null;
  readonly watchedMs: number;
}

export interface AvailabilityOptions {
  readonly store: Store;
  readonly pool: { presence(id: DeviceId): Presence };
  readonly clock: Clock;
  readonly onError?: (error: HildaError, place: string) => void;
}

/** Notes once a minute which devices are there, so that a daemon that is killed loses no more than that. */
export class AvailabilityLog {
  readonly #options: AvailabilityOptions;
  readonly #life = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(options: AvailabilityOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const { store, clock } = this.#options;
    await store.beginWatch(clock.nowMs() - keptMs);
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#life.abort();
    await this.#running;
    await this.note().catch(() => {});
  }

  async note(): Promise<void> {
    const { store, pool } = this.#options;
    const devices = await store.devices();
    await store.notePresent(devices.flatMap(({ id }) => (pool.presence(id).present ? [id] : [])));
  }

  async #run(): Promise<void> {
    const { clock, onError } = this.#options;
    const { signal } = this.#life;
    while (!signal.aborted) {
      await this.note().catch((thrown: unknown) =>
        onError?.(asHildaError(thrown), 'noting which devices are there'),
      );
      await clock.sleep(minuteMs, { signal }).catch(() => {});
    }
  }
}

/** Of a device over the last so many milliseconds. */
export async function availabilityOf(
  device: DeviceId,
  overMs: number,
  { store, clock }: Pick<AvailabilityOptions, 'store' | 'clock'>,
): Promise<Availability> {
  const sinceMs = clock.nowMs() - overMs;
  const [seen, watched] = [await store.spans(device, sinceMs), await store.spans(null, sinceMs)];
  const within = (spans: readonly Span[]): number =>
    spans.reduce((sum, { fromMs, untilMs }) => sum + Math.max(0, untilMs - Math.max(fromMs, sinceMs)), 0);
  const watchedMs = within(watched);
  // A device is first noted after the watch began.
  return { share: watchedMs === 0 ? null : Math.min(1, within(seen) / watchedMs), watchedMs };
}

export const [lastDayMs, lastWeekMs] = [dayMs, 7 * dayMs] as const;

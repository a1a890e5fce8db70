import type { Clock } from '../core/clock.js';
import { HildaError } from '../core/errors.js';
import type { Connection } from './connection.js';

export interface Instance {
  /** Null while its line is down. */
  readonly connection: Connection | null;
}

export interface NewcomerOptions<T extends Instance> {
  readonly clock: Clock;
  /** A person asked for it. What comes back by itself never takes over, or two would evict each other for ever. */
  readonly takeOver: boolean;
  /** For messages, e.g. `the page browser-3f2a91`. */
  readonly what: string;
  /** Who holds the place now. */
  readonly present: () => T | undefined;
  /** Whether that is the newcomer itself, back from a break. */
  readonly isSame: (present: T) => boolean;
  /** Tells the present instance why it has to stop, and ends it. */
  readonly displace: (present: T, error: HildaError) => void;
}

/** How long an instance may take to show that it is alive. */
const probeMs = 5000;
const lookMs = 50;

/**
 * Settles who holds the place of one key: answers with the newcomer's own session where it is back, with undefined where
 * the place is free now. Throws DISPLACED where another instance is alive and nobody asked to take over.
 */
export async function giveWay<T extends Instance>(options: NewcomerOptions<T>): Promise<T | undefined> {
  const { clock, takeOver, what, present, isSame, displace } = options;
  const first = present();
  if (!first || isSame(first)) return first;
  if (!takeOver && (await isAlive(first.connection, clock)))
    throw new HildaError('DISPLACED', `another instance of ${what} is connected`);
  // Others may have come meanwhile.
  const now = present();
  if (now && isSame(now)) return now;
  if (now && now !== first && !takeOver)
    throw new HildaError('DISPLACED', `another instance of ${what} was faster`);
  if (now) displace(now, displaced(what));
  return undefined;
}

const displaced = (what: string): HildaError =>
  new HildaError('DISPLACED', `another instance of ${what} took over`);

/** Whether a byte comes when asked for. */
async function isAlive(connection: Connection | null, clock: Clock): Promise<boolean> {
  if (!connection) return false;
  let closed = false;
  connection.onClose(() => {
    closed = true;
  });
  const before = connection.receivedBytes();
  connection.ping();
  for (let waitedMs = 0; waitedMs < probeMs && !closed; waitedMs += lookMs) {
    await clock.sleep(lookMs);
    if (connection.receivedBytes() > before) return true;
  }
  return false;
}

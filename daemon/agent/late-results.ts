import type { Clock } from '../core/clock.js';
import { type Hold, mostHeldMs, sameHold } from '../devices/agent/wire.js';
import { contentHash } from '../devices/content-hash.js';
import type { Lease } from './contents.js';
import type { Outcome } from './outbox.js';

type Result = Extract<Outcome, { op: 'result' }>;

interface Ended {
  readonly outcome: Result;
  /** Hash of what was asked for. */
  readonly asked: string;
  readonly endUs: number;
  /** The daemon no longer waits for it. */
  isLate: boolean;
}

const mostKept = 64;

/**
 * Measurements that ended while the daemon was away for too long to wait for them. The same work, asked for again within an
 * hour, is answered by them and not done twice. Each answers once, and one that the daemon took answers nothing.
 */
export class LateResults {
  readonly #clock: Clock;
  #ended: Ended[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  ended(lease: Lease, outcome: Outcome): void {
    if (lease.work.kind !== 'measure' || outcome.op !== 'result') return;
    const endUs = this.#clock.monotonicUs() - 1000 * (outcome.heldMs ?? 0);
    this.#ended.push({ outcome, asked: contentOf(lease), endUs, isLate: false });
    this.#ended = this.#ended.slice(-mostKept);
  }

  /** The daemon keeps those alone. */
  kept(holds: readonly Hold[]): void {
    for (const ended of this.#ended) ended.isLate ||= !holds.some((hold) => sameHold(hold, ended.outcome));
  }

  acknowledged(hold: Hold, accepted: boolean): void {
    const ended = this.#ended.find(({ outcome }) => sameHold(outcome, hold));
    if (ended && !accepted) ended.isLate = true;
    else this.#ended = this.#ended.filter((one) => one !== ended);
  }

  /** An answer to the lease, where there is one, with how long ago it ended. */
  take(lease: Lease): Result | undefined {
    const asked = contentOf(lease);
    const nowUs = this.#clock.monotonicUs();
    this.#ended = this.#ended.filter(({ endUs }) => nowUs - endUs < 1000 * mostHeldMs);
    const ended = this.#ended.find((one) => one.isLate && one.asked === asked);
    if (!ended) return undefined;
    this.#ended = this.#ended.filter((one) => one !== ended);
    const { job, epoch } = lease;
    return { ...ended.outcome, job, epoch, heldMs: Math.round((nowUs - ended.endUs) / 1000) };
  }
}

/** What was asked for, under any name: the device, the work and the bytes that it takes. */
const contentOf = ({ device, work, model, feeds, inputs }: Lease): string =>
  contentHash(Buffer.from(JSON.stringify([device, work, model, feeds, inputs])));

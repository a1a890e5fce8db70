import type { Clock } from '../core/clock.js';
import { asHildaError, HildaError } from '../core/errors.js';

export interface AttemptLimitOptions {
  readonly clock: Clock;
  /** Wrong tokens and keys that one peer may show within the window; 10 by default. */
  readonly most?: number;
  /** Length of the window; a minute by default. */
  readonly windowMs?: number;
}

const counted: ReadonlySet<string> = new Set(['PAIRING_REFUSED', 'TOKEN_REFUSED']);
/** Peers that are remembered; beyond that the oldest are forgotten. */
const mostPeers = 10_000;

/** Counts wrong tokens and keys by peer, an address or a known guest, over a sliding window. Right ones cost nothing. */
export class AttemptLimit {
  readonly #options: Required<AttemptLimitOptions>;
  /** Times of failures, oldest first. */
  readonly #failures = new Map<string, number[]>();
  /** The end of the last check under way, by peer. */
  readonly #turns = new Map<string, Promise<void>>();

  constructor(options: AttemptLimitOptions) {
    this.#options = { most: 10, windowMs: 60_000, ...options };
  }

  /** Throws ATTEMPTS_LIMITED, with `details.retryAfterS`, for a peer that used its attempts up. */
  check(peer: string): void {
    const { clock, most, windowMs } = this.#options;
    const recent = this.#recent(peer);
    if (recent.length < most) return;
    const waitMs = (recent[recent.length - most] as number) + windowMs - clock.nowMs();
    const retryAfterS = Math.max(1, Math.ceil(waitMs / 1000));
    throw new HildaError('ATTEMPTS_LIMITED', `${most} wrong tokens or keys came from ${peer}`, {
      details: { retryAfterS },
    });
  }

  /**
   * Looks at what a peer shows, one after another, so that many shown at once cannot all pass before the first is counted.
   * Throws ATTEMPTS_LIMITED without a look, or what the look throws: PAIRING_REFUSED and TOKEN_REFUSED count.
   */
  async admit<T>(peer: string, look: () => Promise<T>): Promise<T> {
    const turn = (this.#turns.get(peer) ?? Promise.resolve()).then(() => this.#look(peer, look));
    const over = turn.then(
      () => {},
      () => {},
    );
    this.#turns.set(peer, over);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(peer) === over) this.#turns.delete(peer);
    }
  }

  async #look<T>(peer: string, look: () => Promise<T>): Promise<T> {
    this.check(peer);
    try {
      return await look();
    } catch (thrown) {
      if (counted.has(asHildaError(thrown).code)) this.#count(peer);
      throw thrown;
    }
  }

  /** A wrong token or key came from there. */
  #count(peer: string): void {
    const recent = [...this.#recent(peer), this.#options.clock.nowMs()];
    // Set anew, so that the map's order is that of the latest failure.
    this.#failures.delete(peer);
    this.#failures.set(peer, recent);
    const [oldest] = this.#failures.keys();
    if (this.#failures.size > mostPeers && oldest !== undefined) this.#failures.delete(oldest);
  }

  #recent(peer: string): number[] {
    const sinceMs = this.#options.clock.nowMs() - this.#options.windowMs;
    return (this.#failures.get(peer) ?? []).filter((atMs) => atMs > sinceMs);
  }
}

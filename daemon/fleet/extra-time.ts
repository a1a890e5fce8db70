/** Extra work takes at most this share of the time of the sessions that were asked for. */
const share = 0.15;

/**
 * The time that a device may spend beside the sessions that callers ask for: on probes, on sessions that are taken again, and on
 * waits for a calm machine. One budget for all three bounds what they cost a search together.
 */
export class ExtraTime {
  #leftMs: number | null = null;

  /** A session that was asked for, which earns its share. The first one earns all of its time: an extra session is there at once. */
  earn(sessionMs: number): void {
    if (this.#leftMs === null) this.#leftMs = sessionMs;
    // What a long calm time saved is spent on few disturbed networks: the rest of it could not help them.
    else
      this.#leftMs = Math.max(this.#leftMs, Math.min(this.#leftMs + share * sessionMs, 3 * sessionMs + 4000));
  }

  affords(ms: number): boolean {
    return this.#leftMs !== null && this.#leftMs >= ms;
  }

  /** Work may take longer than was expected: later work waits for the difference. */
  spend(ms: number): void {
    this.#leftMs = (this.#leftMs ?? 0) - ms;
  }
}

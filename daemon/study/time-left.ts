export interface Pace {
  readonly nowMs: number;
  /** Of this start of the study. */
  readonly startedMs: number;
  /** Trials that ended since then. */
  readonly ended: number;
  /** Trials that the budget still holds. */
  readonly left: number;
  /** What the budget allows each start; undefined where it is not limited. */
  readonly maxMinutes: number | undefined;
}

export interface TimeLeft {
  /** Until the study ends at this pace; null as long as there is no pace. */
  readonly etaMs: number | null;
  /** How many of the trials that are left it gets to at this pace: fewer than all where its time is up before. */
  readonly reached: number | null;
}

/** How long a running study still takes at its pace, and how far it gets in the time that its budget allows. */
export function timeLeft({ nowMs, startedMs, ended, left, maxMinutes }: Pace): TimeLeft {
  const allowedMs = startedMs + (maxMinutes ?? Number.POSITIVE_INFINITY) * 60_000 - nowMs;
  if (ended === 0 || left === 0) return { etaMs: null, reached: null };
  const eachMs = (nowMs - startedMs) / ended;
  if (eachMs * left <= allowedMs) return { etaMs: eachMs * left, reached: left };
  // Trials that are under way when the time is up are still finished.
  return {
    etaMs: Math.max(0, allowedMs),
    reached: Math.max(0, Math.min(left, Math.ceil(allowedMs / eachMs))),
  };
}

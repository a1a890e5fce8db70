/**
 * What befalls a virtual device, from `fromMs` to `untilMs` (UTC, milliseconds, the end excluded):
 *
 * - `unplug`: it is not there
 * - `move`: it is not there, and comes back under another address
 * - `hang`: it is there and does not answer
 */
export interface Mishap {
  readonly kind: 'unplug' | 'move' | 'hang';
  readonly fromMs: number;
  readonly untilMs: number;
}

/** What a virtual device runs from a moment on, until the next one. */
export interface Firmware {
  readonly version: string;
  readonly fromMs: number;
  /** Times of all networks over those of the speed that the device has by itself: 1.08 is 8 % slower. */
  readonly factor: number;
}

/** So long a device is away while it restarts with another firmware. */
export const restartMs = 60_000;

/** The first mishap of one of these kinds that holds at some moment of the span, both ends included. */
export const mishapWithin = (
  mishaps: readonly Mishap[],
  fromMs: number,
  untilMs: number,
): Mishap | undefined =>
  mishaps
    .filter((one) => one.fromMs <= untilMs && one.untilMs > fromMs)
    .reduce<Mishap | undefined>(
      (first, one) => (first && first.fromMs <= one.fromMs ? first : one),
      undefined,
    );

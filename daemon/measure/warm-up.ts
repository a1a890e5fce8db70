import type { Clock } from '../core/clock.js';
import type { Protocol } from './protocol.js';
import type { RoundRunner } from './round-runner.js';
import { median } from './statistics.js';

export interface WarmUp {
  readonly durationMs: number;
  /** False when the budget ended before two consecutive medians agreed. */
  readonly settled: boolean;
  /** Medians of the last blocks, microseconds. */
  readonly referenceUs: number;
  readonly candidateUs: number;
  /** Of the second reference, where the device holds it. */
  readonly secondUs: number | null;
}

/** A fresh process runs interpreted code and a cold clock at first, and two early medians agree by chance. */
const leastMs = 80;

/**
 * Runs the networks until two consecutive medians of `warmupBlock` runs agree within `warmupTolerance`, for each
 * network, or `warmupMaxMs` ends. Nothing timed here enters the measurement.
 */
export async function warmUp(
  runner: RoundRunner,
  protocol: Protocol,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<WarmUp> {
  const { warmupBlock: runs, warmupTolerance, warmupMaxMs } = protocol;
  const startUs = clock.monotonicUs();
  let previous: readonly number[] | null = null;
  for (;;) {
    const { samplesUs } = await runner.time(
      [
        { network: 'reference', runs },
        { network: 'candidate', runs },
        ...(runner.holdsBoth ? [{ network: 'second', runs } as const] : []),
      ],
      { signal },
    );
    const medians: readonly number[] = samplesUs.map(median);
    const [referenceUs, candidateUs, secondUs = null] = medians as readonly [number, number, number?];
    const before: readonly number[] | null = previous;
    const durationMs = (clock.monotonicUs() - startUs) / 1000;
    const settled =
      durationMs >= Math.min(leastMs, warmupMaxMs) &&
      before !== null &&
      medians.every((now, i) => agree(now, before[i] as number, warmupTolerance));
    if (settled || durationMs >= warmupMaxMs)
      return { durationMs, settled, referenceUs, candidateUs, secondUs };
    previous = medians;
  }
}

const agree = (a: number, b: number, tolerance: number): boolean =>
  Math.abs(a - b) <= tolerance * Math.min(a, b);

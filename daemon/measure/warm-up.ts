import type { Clock } from '../core/clock.js';
import type { Protocol } from './protocol.js';
import type { RoundRunner } from './round-runner.js';
import { median } from './statistics.js';

export interface WarmUp {
  readonly durationMs: number;
  /** False when the budget ended before two consecutive medians agreed. */
  readonly settled: boolean;
}

/**
 * Runs both networks until two consecutive medians of `warmupBlock` runs agree within `warmupTolerance`, for each
 * network, or `warmupMaxMs` ends. Nothing timed here enters the measurement.
 */
export async function warmUp(
  runner: RoundRunner,
  protocol: Protocol,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<WarmUp> {
  const { warmupBlock: runs, warmupTolerance, warmupMaxMs } = protocol;
  const startUs = clock.monotonicUs();
  const elapsedMs = (): number => (clock.monotonicUs() - startUs) / 1000;
  let previous: readonly number[] | null = null;
  for (;;) {
    const { samplesUs } = await runner.time(
      [
        { network: 'reference', runs },
        { network: 'candidate', runs },
      ],
      { signal },
    );
    const medians: readonly number[] = samplesUs.map(median);
    const before: readonly number[] | null = previous;
    if (before !== null && medians.every((now, i) => agree(now, before[i] as number, warmupTolerance))) {
      return { durationMs: elapsedMs(), settled: true };
    }
    if (elapsedMs() >= warmupMaxMs) return { durationMs: elapsedMs(), settled: false };
    previous = medians;
  }
}

const agree = (a: number, b: number, tolerance: number): boolean =>
  Math.abs(a - b) <= tolerance * Math.min(a, b);

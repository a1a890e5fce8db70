import type { Protocol } from '../../../measure/protocol.js';
import type { Fault } from './fault-list.js';
import type { LineUnderTest } from './lines-under-test.js';
import { type Outcome, soundMeasurement, testFault } from './test-line.js';

export interface FaultRunOptions {
  /** A fresh line for each run; the same seed gives the same line. */
  readonly makeLine: (seed: number) => Promise<LineUnderTest>;
  readonly faults: readonly Fault[];
  readonly seeds: number;
  readonly protocol: Protocol;
  readonly signal: AbortSignal;
  /** Runs at a time; 1 by default. */
  readonly side?: number;
  readonly onOutcome?: (outcome: Outcome) => void;
}

/**
 * Each fault with each seed, in the order of the list. Faults that the line cannot have are left out. Throws where not even
 * the sound line gives a valid measurement.
 */
export async function runFaults(options: FaultRunOptions): Promise<Outcome[]> {
  const { makeLine, faults, seeds, protocol, signal, side = 1, onOutcome } = options;
  const truth = await withLine(makeLine, 0, (line) => soundMeasurement(line, protocol, signal));
  const jobs = faults.flatMap((fault) => Array.from({ length: seeds }, (_, i) => ({ fault, seed: i + 1 })));
  const outcomes: (Outcome | null)[] = jobs.map(() => null);
  let next = 0;
  const work = async (): Promise<void> => {
    for (let at = next++; at < jobs.length; at = next++) {
      signal.throwIfAborted();
      const { fault, seed } = jobs[at] as (typeof jobs)[number];
      const outcome = await withLine(makeLine, seed, (line) =>
        testFault(line, fault, { truth, seed, protocol, signal }),
      );
      outcomes[at] = outcome;
      if (outcome) onOutcome?.(outcome);
    }
  };
  await Promise.all(Array.from({ length: side }, work));
  return outcomes.filter((outcome) => outcome !== null);
}

async function withLine<T>(
  makeLine: FaultRunOptions['makeLine'],
  seed: number,
  work: (line: LineUnderTest) => Promise<T>,
): Promise<T> {
  const line = await makeLine(seed);
  try {
    return await work(line);
  } finally {
    await line.close();
  }
}

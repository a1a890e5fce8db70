import type { Clock } from '../core/clock.js';
import { HildaError } from '../core/errors.js';
import type { OperatorCost } from '../core/measurement.js';
import { gaussian, type Rng } from '../core/rng.js';
import type { RoundLeg, RoundRunner, TimedRound } from '../measure/round-runner.js';
import { countCost } from '../network/cost.js';
import type { Graph } from '../network/graph.js';

export interface PaperMachineOptions {
  /** Time of one run without noise, us; asked once a leg. */
  readonly baseUs: (leg: RoundLeg) => number;
  /** Standard deviation of the logarithm of one run's time. */
  readonly noise: number;
  readonly rng: Rng;
  /** Hears how long a leg took, us. */
  readonly onLeg?: (legUs: number) => void;
}

/** A machine on paper: its clock moves only by what runs on it, so that a minute of measuring takes milliseconds. */
export class PaperMachine implements RoundRunner, Clock {
  readonly #options: PaperMachineOptions;
  #nowUs = 0;

  constructor(options: PaperMachineOptions) {
    this.#options = options;
  }

  nowMs(): number {
    return this.#nowUs / 1000;
  }

  monotonicUs(): number {
    return this.#nowUs;
  }

  async sleep(ms: number): Promise<void> {
    this.#nowUs += ms * 1000;
  }

  async time(legs: readonly RoundLeg[]): Promise<TimedRound> {
    return { samplesUs: legs.map((leg) => this.#leg(leg)), lostShare: null };
  }

  #leg(leg: RoundLeg): Float64Array {
    const { baseUs, noise, rng, onLeg } = this.#options;
    const base = baseUs(leg);
    const beganUs = this.#nowUs;
    const samples = Float64Array.from({ length: leg.runs }, () => {
      const sampleUs = base * Math.exp(noise * gaussian(rng));
      this.#nowUs += sampleUs;
      return sampleUs;
    });
    onLeg?.(this.#nowUs - beganUs);
    return samples;
  }
}

/** Costs by operator where a rule gives their times, us; they add up to a run without its 20 us. */
export const costsOnPaper = (
  network: Graph,
  provider: string,
  usOf: (operator: {
    readonly macs: number;
    readonly bytesRead: number;
    readonly bytesWritten: number;
  }) => number,
): OperatorCost[] =>
  countCost(network).operators.map((operator) => ({
    name: operator.name,
    op: operator.op,
    provider,
    medianUs: usOf(operator),
    count: null,
    outputBytes: 4 * operator.outputDims.reduce((product, dim) => product * dim, 1),
    parameterBytes: 4 * operator.parameters,
    liveBytes: operator.liveBytes,
  }));

/** The signals that end a call of a device on paper. */
interface Ends {
  /** The caller's. */
  readonly signal: AbortSignal;
  /** Aborts when the device is closed. */
  readonly closing: AbortSignal;
}

/** Throws INTERRUPTED where the call is aborted or the device closed meanwhile. */
export async function sleepOnPaper(clock: Clock, ms: number, { signal, closing }: Ends): Promise<void> {
  try {
    await clock.sleep(ms, { signal: AbortSignal.any([signal, closing]) });
  } catch (cause) {
    throw new HildaError('INTERRUPTED', 'the measurement was aborted', { cause });
  }
}

/** Throws DEVICE_FAILED for a closed device, INTERRUPTED for an aborted call. */
export function assertGoesOn({ signal, closing }: Ends): void {
  if (closing.aborted) throw new HildaError('DEVICE_FAILED', 'the device was closed');
  if (signal.aborted)
    throw new HildaError('INTERRUPTED', 'the measurement was aborted', { cause: signal.reason });
}

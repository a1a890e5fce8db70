import type { Clock } from '../../core/clock.js';
import { gaussian, type Rng } from '../../core/rng.js';
import type { RoundLeg, RoundRunner, TimedRound } from '../../measure/round-runner.js';

/** What goes wrong with the simulated machine while it is measured. */
export type Disturbance = 'drift' | 'throttle' | 'contended';

export interface FakeMachineOptions {
  readonly candidateUs: number;
  readonly referenceUs: number;
  /** Standard deviation of the logarithm of one run's time. */
  readonly noise: number;
  readonly rng: Rng;
  readonly disturbance?: Disturbance | undefined;
}

/**
 * A machine whose clock moves only by what runs on it, so that a minute of measuring takes milliseconds. Each run
 * takes its network's time, times log-normal noise, times the disturbance:
 *
 * - `drift`: the candidate alone gets 2 % slower with every leg
 * - `throttle`: everything gets 1 % slower with every leg
 * - `contended`: two runs in three legs take three times as long, at random
 */
export class FakeMachine implements RoundRunner, Clock {
  readonly #options: FakeMachineOptions;
  #nowUs = 0;
  #legs = 0;

  constructor(options: FakeMachineOptions) {
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

  #leg({ network, runs }: RoundLeg): Float64Array {
    const { candidateUs, referenceUs, noise, rng, disturbance } = this.#options;
    const leg = this.#legs++;
    let factor = 1;
    if (disturbance === 'drift' && network === 'candidate') factor = 1.02 ** leg;
    if (disturbance === 'throttle') factor = 1.01 ** leg;
    if (disturbance === 'contended' && rng.next() < 2 / 3) factor = 1 + 2 * rng.next();
    const baseUs = (network === 'candidate' ? candidateUs : referenceUs) * factor;
    return Float64Array.from({ length: runs }, () => {
      const sampleUs = baseUs * Math.exp(noise * gaussian(rng));
      this.#nowUs += sampleUs;
      return sampleUs;
    });
  }
}

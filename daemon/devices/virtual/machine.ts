import type { Clock } from '../../core/clock.js';
import { gaussian, type Rng } from '../../core/rng.js';
import type { RoundLeg, RoundRunner, TimedRound } from '../../measure/round-runner.js';
import type { Body } from './thermal.js';

export interface VirtualMachineOptions {
  /** Of this session, on a cool device. */
  readonly candidateUs: number;
  readonly referenceUs: number;
  /** Standard deviation of the logarithm of one run's time. */
  readonly within: number;
  readonly body: Body;
  readonly rng: Rng;
}

/** A machine whose clock moves only by what runs on it, and which warms by it. */
export class VirtualMachine implements RoundRunner, Clock {
  readonly #options: VirtualMachineOptions;
  #nowUs = 0;

  constructor(options: VirtualMachineOptions) {
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
    const { candidateUs, referenceUs, within, body, rng } = this.#options;
    const baseUs = (network === 'candidate' ? candidateUs : referenceUs) * body.factor;
    let legUs = 0;
    const samples = Float64Array.from({ length: runs }, () => {
      const us = baseUs * Math.exp(within * gaussian(rng));
      legUs += us;
      return us;
    });
    this.#nowUs += legUs;
    body.work(legUs / 1000);
    return samples;
  }
}

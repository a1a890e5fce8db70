import { type Clock, systemClock } from '../../core/clock.js';
import { HildaError } from '../../core/errors.js';
import type { Measurement, OperatorCost } from '../../core/measurement.js';
import { Xoshiro128 } from '../../core/rng.js';
import type { Target } from '../../core/target.js';
import { assembleMeasurement } from '../../measure/assemble.js';
import type { Calibration } from '../../measure/calibration.js';
import { measureLatency } from '../../measure/measure-latency.js';
import { networkFacts } from '../../measure/network-facts.js';
import type { Protocol } from '../../measure/protocol.js';
import { referenceFor } from '../../measure/references.js';
import { countCost } from '../../network/cost.js';
import type { Graph } from '../../network/graph.js';
import type { CallOptions, Device, Limits } from '../contract.js';
import { assertGoesOn, costsOnPaper, PaperMachine, sleepOnPaper } from '../paper.js';
import { type Disturbance, disturbedBy } from './disturbance.js';

/** `hang` runs into the time limit; `crash`, `reject` and `outOfMemory` throw; the rest disturbs the timing. */
export type Fault = 'hang' | 'crash' | 'reject' | 'outOfMemory' | Disturbance;

export interface FakeDeviceOptions {
  /** Standard deviation of the logarithm of one run's time; 0.01 by default. */
  readonly noise?: number;
  readonly seed?: number;
  /** A board that runs everything this many times slower than its kind should; 1 by default. */
  readonly slowdown?: number;
  /** What befalls the first, second, ... measurement; null for nothing. Later ones go well. */
  readonly faults?: readonly (Fault | null)[];
  /** Real milliseconds that one measurement takes; 0 by default. */
  readonly delayMs?: number;
  /** How long a hanging network is waited for; 1 s by default. */
  readonly timeoutMs?: number;
  readonly clock?: Clock;
  /** What the device is fast and slow at; `fakeRates` by default. */
  readonly rates?: FakeRates;
}

/** How much gets done in one microsecond, and what an operator costs by itself. */
export interface FakeRates {
  readonly macsPerUs: number;
  readonly bytesPerUs: number;
  readonly operatorUs: number;
}

export const fakeRates: FakeRates = { macsPerUs: 2000, bytesPerUs: 4096, operatorUs: 2 };

/** Latencies of the references on the fake, by definition. */
const calibration: Calibration = { convolutionUs: 500, transformerUs: 400, takenAtMs: 0 };

/**
 * Latency of the fake: 20 us, 1 us for 2,000 multiply-accumulates, 1 us for 4,096 bytes moved, 2 us an operator, unless
 * its rates say otherwise. Chosen so that networks of equal MACs differ, as on real machines.
 */
export function fakeLatencyUs(
  network: Graph,
  { macsPerUs, bytesPerUs, operatorUs }: FakeRates = fakeRates,
): number {
  const { macs, bytesMoved } = countCost(network);
  return 20 + macs / macsPerUs + bytesMoved / bytesPerUs + operatorUs * network.nodes.length;
}

/** A deterministic device: the n-th measurement of a network after opening always gives the same figures. */
export class FakeDevice implements Device {
  readonly limits: Limits = { memoryBytes: null, weightBytes: null };
  readonly #options: FakeDeviceOptions;
  readonly #closing = new AbortController();
  #calls = 0;
  readonly #visits = new Map<string, number>();

  constructor(
    readonly target: Target,
    options: FakeDeviceOptions = {},
  ) {
    this.#options = options;
  }

  async calibrate({ known }: CallOptions & { readonly known?: Calibration }): Promise<Calibration> {
    return known ?? calibration;
  }

  async measure(
    network: Graph,
    protocol: Protocol,
    { signal, onProgress }: CallOptions,
  ): Promise<Measurement> {
    const {
      noise = 0.01,
      seed = 1,
      slowdown = 1,
      faults = [],
      delayMs = 0,
      clock = systemClock,
    } = this.#options;
    const call = this.#calls++;
    const fault = faults[call] ?? null;
    this.#check(signal);
    const takenAtMs = clock.nowMs();
    if (delayMs > 0) await this.#sleep(delayMs, signal);
    await this.#suffer(fault, signal);
    const reference = referenceFor(network);
    const facts = networkFacts(network);
    const candidateUs = fakeLatencyUs(network, this.#options.rates);
    const visit = this.#visits.get(facts.structureHash) ?? 0;
    this.#visits.set(facts.structureHash, visit + 1);
    const rng = Xoshiro128.fromSeed(
      seed + Number.parseInt(facts.structureHash.slice(0, 6), 16) + 7919 * visit,
    );
    const referenceUs = reference === 'convolution' ? calibration.convolutionUs : calibration.transformerUs;
    const disturbance =
      fault === 'drift' || fault === 'throttle' || fault === 'contended' ? fault : undefined;
    const slower = disturbedBy(disturbance, rng);
    const machine = new PaperMachine({
      baseUs: (leg) => slowdown * (leg.network === 'candidate' ? candidateUs : referenceUs) * slower(leg),
      noise,
      rng,
    });
    const run = await measureLatency(machine, protocol, {
      clock: machine,
      rng,
      signal,
      onRound: (_, total) => onProgress?.({ step: 'rounds', done: total, of: protocol.maxRounds }),
    });
    return assembleMeasurement({
      facts,
      target: this.target,
      provenance: 'emulated',
      protocol,
      run,
      reference,
      calibration,
      loadUs: 1000 + facts.weightBytes / 1000,
      firstRunUs: 3 * candidateUs,
      activationPeakBytes: countCost(network).peakActivationBytes,
      runPeakRssBytes: null,
      manifest: { seed, visit, noise, fault },
      takenAtMs,
      durationMs: machine.nowMs(),
    });
  }

  /** The same rule by operator, without the 20 us of a run: sums fall short of the whole by that. */
  async profile(network: Graph, { signal }: CallOptions): Promise<readonly OperatorCost[]> {
    this.#check(signal);
    const { macsPerUs, bytesPerUs, operatorUs } = this.#options.rates ?? fakeRates;
    return costsOnPaper(
      network,
      this.target.provider,
      ({ macs, bytesRead, bytesWritten }) =>
        operatorUs + macs / macsPerUs + (bytesRead + bytesWritten) / bytesPerUs,
    );
  }

  async close(): Promise<void> {
    this.#closing.abort();
  }

  async #suffer(fault: Fault | null, signal: AbortSignal): Promise<void> {
    const { timeoutMs = 1000 } = this.#options;
    switch (fault) {
      case 'hang':
        await this.#sleep(timeoutMs, signal);
        throw new HildaError('DEVICE_TIMEOUT', `the fake hung for ${timeoutMs} ms, as it was told`);
      case 'crash':
        throw new HildaError('DEVICE_FAILED', 'the fake crashed, as it was told');
      case 'reject':
        throw new HildaError('NETWORK_REJECTED', 'the fake refused the network, as it was told');
      case 'outOfMemory':
        throw new HildaError('DEVICE_OUT_OF_MEMORY', 'the fake ran out of memory, as it was told');
    }
  }

  #sleep(ms: number, signal: AbortSignal): Promise<void> {
    const { clock = systemClock } = this.#options;
    return sleepOnPaper(clock, ms, { signal, closing: this.#closing.signal });
  }

  #check(signal: AbortSignal): void {
    assertGoesOn({ signal, closing: this.#closing.signal });
  }
}

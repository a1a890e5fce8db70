import type { Clock } from '../../core/clock.js';
import { HildaError } from '../../core/errors.js';
import type { Measurement, OperatorCost } from '../../core/measurement.js';
import { gaussian, Xoshiro128 } from '../../core/rng.js';
import type { Target } from '../../core/target.js';
import { assembleMeasurement } from '../../measure/assemble.js';
import { type Calibration, calibratedUs } from '../../measure/calibration.js';
import { measureLatency } from '../../measure/measure-latency.js';
import type { Protocol } from '../../measure/protocol.js';
import { referenceFor, referenceNetworks } from '../../measure/references.js';
import { joinSessions } from '../../measure/sessions.js';
import { countCost } from '../../network/cost.js';
import type { Graph } from '../../network/graph.js';
import type { CallOptions, Device, Limits } from '../contract.js';
import { assertGoesOn, costsOnPaper, PaperMachine, sleepOnPaper } from '../paper.js';
import { virtualFacts, virtualLatencyUs } from './latency.js';
import { goneError, type VirtualUnit } from './unit.js';

export interface VirtualDeviceOptions {
  readonly clock: Clock;
  /** Time that a measurement takes on the clock over the time that the model says; 1 by default, 0 for none. */
  readonly pace?: number;
  /** So long a device that hangs is waited for; 60 s by default. */
  readonly timeoutMs?: number;
}

/** The variance between sessions is what the model says: no repeat makes it surer. */
const sureFreedom = 1e6;

/**
 * An opened virtual device: the protocol's own loop over a machine that draws times by the model. The same unit, seed and order of
 * sessions give the same figures. It ends with the unit's epoch: one that was unplugged, moved or restarted is DEVICE_GONE.
 */
export class VirtualDevice implements Device {
  readonly limits: Limits = { memoryBytes: null, weightBytes: null };
  readonly target: Target;
  readonly #unit: VirtualUnit;
  readonly #options: VirtualDeviceOptions;
  readonly #epoch: string;
  readonly #factor: number;
  readonly #closing = new AbortController();
  #calibration: Calibration | undefined;

  constructor(unit: VirtualUnit, options: VirtualDeviceOptions) {
    const nowMs = options.clock.nowMs();
    const { epoch, firmware } = unit.at(nowMs);
    this.#unit = unit;
    this.#options = options;
    this.#epoch = epoch;
    this.#factor = firmware.factor / unit.speed;
    this.target = unit.targetAt(nowMs);
  }

  async calibrate({ signal, known }: CallOptions & { readonly known?: Calibration }): Promise<Calibration> {
    this.#check(signal);
    this.#calibration = known ?? this.#own();
    return this.#calibration;
  }

  async measure(
    network: Graph,
    protocol: Protocol,
    { signal, onProgress }: CallOptions,
  ): Promise<Measurement> {
    const { clock, pace = 1 } = this.#options;
    this.#check(signal);
    const unit = this.#unit;
    const takenAtMs = clock.nowMs();
    const { firmware, address } = unit.at(takenAtMs);
    const session = unit.nextSession();
    const facts = virtualFacts(network);
    const rng = Xoshiro128.fromSeed(unit.seed ^ Math.imul(session + 1, 0x9e3779b9));
    const { within, between } = unit.noise;
    const reference = referenceFor(network);
    const calibration = this.#calibration ?? this.#own();
    const candidateUs = this.#factor * virtualLatencyUs(network) * Math.exp(between * gaussian(rng));
    unit.body.rest(takenAtMs);
    const startC = unit.body.celsius;
    const referenceUs = this.#factor * calibratedUs(modelled(), reference);
    const machine = new PaperMachine({
      baseUs: (leg) => (leg.network === 'candidate' ? candidateUs : referenceUs) * unit.body.factor,
      noise: within,
      rng,
      onLeg: (legUs) => unit.body.work(legUs / 1000),
    });
    const run = await measureLatency(machine, protocol, {
      clock: machine,
      rng,
      signal,
      onRound: (_, total) => onProgress?.({ step: 'rounds', done: total, of: protocol.maxRounds }),
    });
    const taken = assembleMeasurement({
      facts,
      target: this.target,
      provenance: 'emulated',
      protocol,
      run,
      reference,
      calibration,
      loadUs: this.#factor * (1000 + facts.weightBytes / 1000),
      firstRunUs: 3 * candidateUs,
      activationPeakBytes: countCost(network).peakActivationBytes,
      runPeakRssBytes: null,
      manifest: {
        virtual: true,
        firmware: firmware.version,
        address,
        startC: rounded(startC),
        endC: rounded(unit.body.celsius),
      },
      takenAtMs,
      durationMs: machine.nowMs(),
    });
    await this.#pass(pace * machine.nowMs(), signal);
    const known = { variance: between ** 2, freedom: sureFreedom, repeats: 0 };
    return joinSessions([taken], known, protocol);
  }

  /** By operator, without the 20 us of a run: sums are smaller than the whole by that. */
  async profile(network: Graph, { signal }: CallOptions): Promise<readonly OperatorCost[]> {
    this.#check(signal);
    await this.#pass(0, signal);
    return costsOnPaper(
      network,
      this.target.provider,
      ({ macs, bytesRead, bytesWritten }) =>
        this.#factor * (2 + macs / 2000 + (bytesRead + bytesWritten) / 4096),
    );
  }

  async close(): Promise<void> {
    this.#closing.abort();
  }

  /** The references as the model has them on this device with its firmware, cool. */
  #own(): Calibration {
    const { convolutionUs, transformerUs } = modelled();
    return {
      convolutionUs: this.#factor * convolutionUs,
      transformerUs: this.#factor * transformerUs,
      takenAtMs: this.#options.clock.nowMs(),
    };
  }

  /** Lets the time of the work pass, unless something befalls the device meanwhile: then that is thrown, at its moment. */
  async #pass(ms: number, signal: AbortSignal): Promise<void> {
    const { clock, timeoutMs = 60_000 } = this.#options;
    const fromMs = clock.nowMs();
    const met = this.#unit.disturbanceWithin(fromMs, fromMs + ms);
    if (!met) return this.#sleep(ms, signal);
    await this.#sleep(met.fromMs - fromMs, signal);
    if (met.kind !== 'hang') throw goneError(this.#unit.id, 'left during the work');
    await this.#sleep(timeoutMs, signal);
    throw new HildaError(
      'DEVICE_TIMEOUT',
      `the virtual device ${this.#unit.id} did not answer for ${timeoutMs} ms`,
    );
  }

  async #sleep(ms: number, signal: AbortSignal): Promise<void> {
    if (ms > 0) await sleepOnPaper(this.#options.clock, ms, { signal, closing: this.#closing.signal });
  }

  #check(signal: AbortSignal): void {
    assertGoesOn({ signal, closing: this.#closing.signal });
    const { isPresent, epoch } = this.#unit.at(this.#options.clock.nowMs());
    if (!isPresent || epoch !== this.#epoch) throw goneError(this.#unit.id, 'left before the work', true);
  }
}

let models: Calibration | undefined;

/** The references on a device of speed 1. */
function modelled(): Calibration {
  if (!models) {
    const { convolution, transformer } = referenceNetworks();
    const [convolutionUs, transformerUs] = [convolution, transformer].map(virtualLatencyUs) as [
      number,
      number,
    ];
    models = { convolutionUs, transformerUs, takenAtMs: 0 };
  }
  return models;
}

const rounded = (celsius: number): number => Math.round(10 * celsius) / 10;

import type { Clock } from '../../core/clock.js';
import { HildaError } from '../../core/errors.js';
import type { Measurement } from '../../core/measurement.js';
import { Xoshiro128 } from '../../core/rng.js';
import type { Target } from '../../core/target.js';
import { assembleMeasurement } from '../../measure/assemble.js';
import type { Calibration } from '../../measure/calibration.js';
import { measureLatency } from '../../measure/measure-latency.js';
import { networkFacts } from '../../measure/network-facts.js';
import { plannedActivationBytes, plannedSource } from '../../measure/planned-memory.js';
import type { Protocol } from '../../measure/protocol.js';
import { referenceFor } from '../../measure/references.js';
import type { RoundLeg, TimedRound } from '../../measure/round-runner.js';
import { median } from '../../measure/statistics.js';
import type { Graph } from '../../network/graph.js';
import type { CallOptions, Device, Limits } from '../contract.js';
import type { AdbServer } from './adb-server.js';
import type { CoreChoice } from './cores.js';
import { LegClocks } from './leg-clocks.js';
import { modelFor, referenceModels } from './model-for.js';
import { PhoneRunner } from './phone-runner.js';
import { judgePhone, parsePhoneState, phoneStateCommand } from './phone-state.js';
import { legSamples, type RunnerReport, type Statistic, statisticOf, unreadable } from './runners/report.js';
import type { Runner } from './runners/runner.js';

export interface NativeDeviceOptions {
  readonly adb: AdbServer;
  readonly serial: string;
  readonly target: Target;
  readonly runner: Runner;
  /** Null leaves the choice to the phone. */
  readonly cores: CoreChoice | null;
  readonly clock: Clock;
  readonly timeoutMs?: number;
  readonly seed?: number;
}

const calibrationVisits = 7;
const calibrationRuns = 20;

/**
 * A native program on a phone, e.g. onnxruntime_perf_test or benchmark_model. Each leg of a round is one run of it, which
 * counts with the time of each inference where the program tells it, else with its median or mean.
 */
export class NativeDevice implements Device {
  readonly target: Target;
  readonly limits: Limits = { memoryBytes: null, weightBytes: null };
  readonly #options: NativeDeviceOptions;
  readonly #phone: PhoneRunner;
  #calibration: Calibration | null = null;
  /** What the first output gave; one that gives less later is no like measure. */
  #statistic: Statistic | null = null;
  #closed = false;

  constructor(options: NativeDeviceOptions) {
    this.#options = options;
    this.target = options.target;
    this.#phone = new PhoneRunner(options);
  }

  async calibrate({ signal, known }: CallOptions & { readonly known?: Calibration }): Promise<Calibration> {
    this.#calibration = known ?? this.#calibration ?? (await this.#takeCalibration(signal));
    return this.#calibration;
  }

  async measure(network: Graph, protocol: Protocol, options: CallOptions): Promise<Measurement> {
    const { signal, onProgress } = options;
    const { clock, runner, cores, seed = 1 } = this.#options;
    if (this.#closed) throw new HildaError('DEVICE_FAILED', 'the device was closed');
    if (signal.aborted)
      throw new HildaError('INTERRUPTED', 'the measurement was aborted', { cause: signal.reason });
    // Before anything is sent: a runner of another format takes no time from the phone.
    const model = modelFor(network, runner);
    const calibration = await this.calibrate(options);
    const reference = referenceFor(network);
    const takenAtMs = clock.nowMs();
    const startUs = clock.monotonicUs();
    onProgress?.({ step: 'load', done: 0, of: 1 });
    await this.#phone.putModel('candidate', model, signal);
    await this.#phone.putModel('reference', referenceModels(runner.takes)[reference], signal);
    const before = await this.#state(signal);
    const clocks = new LegClocks(before.cores);
    const first = await this.#run('candidate', 1, signal, clocks);
    const run = await measureLatency(
      { time: (legs) => this.#time(legs, signal, clocks) },
      // A leg costs a process: the warm-up of blocks would only start more of them, and each run warms itself up.
      { ...protocol, warmupMaxMs: 1 },
      {
        clock,
        rng: Xoshiro128.fromSeed(seed),
        signal,
        expectedUs: this.#typicalUs(first),
        onRound: (_, total) => onProgress?.({ step: 'rounds', done: total, of: protocol.maxRounds }),
      },
    );
    const after = await this.#state(signal);
    const planned = plannedActivationBytes(network);
    return assembleMeasurement({
      facts: networkFacts(network),
      target: this.target,
      provenance: 'measured',
      protocol,
      run,
      reference,
      calibration,
      loadUs: first.loadUs,
      firstRunUs: first.firstRunUs,
      // The runner prints the process's peak, runtime included, which no limit of a network can be held against.
      activationPeakBytes: planned,
      runPeakRssBytes: first.peakBytes,
      manifest: {
        runner: runner.name,
        runnerProvenance: {
          ...runner.provenance,
          output: first.form,
          ...(first.version !== null && { told: first.version }),
        },
        statistic: statisticWords[this.#statistic ?? 'mean'],
        ranFileAsGiven: runner.takes === 'tflite',
        cores: cores && { asked: cores.asked, cores: [...cores.cores], mask: cores.mask },
        memorySource: plannedSource(planned),
        copiesIncluded: true,
        seed,
        before,
        during: clocks.summary(),
        after,
      },
      voided: judgePhone(before, after) ?? clocks.judgement(),
      takenAtMs,
      durationMs: (clock.monotonicUs() - startUs) / 1000,
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  async #takeCalibration(signal: AbortSignal): Promise<Calibration> {
    const { convolution: first, transformer: second } = referenceModels(this.#options.runner.takes);
    await this.#phone.putModel('candidate', first, signal);
    await this.#phone.putModel('reference', second, signal);
    const [convolution, transformer]: [number[], number[]] = [[], []];
    for (let visit = 0; visit < calibrationVisits; visit++) {
      convolution.push(this.#typicalUs(await this.#run('candidate', calibrationRuns, signal)));
      transformer.push(this.#typicalUs(await this.#run('reference', calibrationRuns, signal)));
    }
    return {
      convolutionUs: median(convolution),
      transformerUs: median(transformer),
      takenAtMs: this.#options.clock.nowMs(),
    };
  }

  async #time(legs: readonly RoundLeg[], signal: AbortSignal, clocks: LegClocks): Promise<TimedRound> {
    const samplesUs: Float64Array[] = [];
    for (const { network, runs } of legs)
      samplesUs.push(this.#samples(await this.#run(network, runs, signal, clocks)));
    return { samplesUs, lostShare: null };
  }

  async #run(
    network: RoundLeg['network'],
    runs: number,
    signal: AbortSignal,
    clocks?: LegClocks,
  ): Promise<RunnerReport> {
    const { report, clocks: text } = await this.#phone.run(network, runs, signal);
    clocks?.add(text);
    this.#statistic ??= statisticOf(report);
    return report;
  }

  #typicalUs(report: RunnerReport): number {
    return median([...this.#samples(report)]);
  }

  #samples(report: RunnerReport): Float64Array {
    const { name } = this.#options.runner;
    const samples = legSamples(report, this.#statistic ?? 'mean');
    if (samples) return samples;
    throw unreadable(name, `it gave ${this.#statistic} before and now gives no such figure`, report.form);
  }

  async #state(signal: AbortSignal) {
    const { adb, serial } = this.#options;
    return parsePhoneState((await adb.shell(serial, phoneStateCommand, { signal })).stdout);
  }
}

/** What a leg's figure is, for people. */
const statisticWords: Readonly<Record<Statistic, string>> = {
  runs: 'the time of each run',
  median: 'the median that the runner gives of a leg; the spread of its runs is unknown',
  mean: 'the mean that the runner gives of a leg; the spread of its runs is unknown',
};

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
import { referenceFor, referenceNetworks } from '../../measure/references.js';
import type { RoundLeg, TimedRound } from '../../measure/round-runner.js';
import { median } from '../../measure/statistics.js';
import type { Graph } from '../../network/graph.js';
import { writeOnnx } from '../../network/write-onnx.js';
import { runtimeFailure } from '../../runtime/runtime-failure.js';
import type { CallOptions, Device, Limits } from '../contract.js';
import { type AdbServer, quoted } from './adb-server.js';
import { judgePhone, parsePhoneState, phoneStateCommand } from './phone-state.js';
import { parseOnnxRuntimePerfTest, type RunnerReport } from './runner-output.js';

export interface NativeDeviceOptions {
  readonly adb: AdbServer;
  readonly serial: string;
  readonly target: Target;
  /** The runner's bytes, an onnxruntime_perf_test built for the phone. */
  readonly runner: Uint8Array;
  readonly clock: Clock;
  readonly timeoutMs?: number;
  readonly seed?: number;
}

const folder = '/data/local/tmp/hilda';
const calibrationVisits = 7;

/** onnxruntime_perf_test on a phone. Each leg of a round is one run of the program, of which it prints the median. */
export class NativeDevice implements Device {
  readonly target: Target;
  readonly limits: Limits = { memoryBytes: null, weightBytes: null };
  readonly #options: NativeDeviceOptions;
  #calibration: Calibration | null = null;
  #ready = false;
  #closed = false;

  constructor(options: NativeDeviceOptions) {
    this.#options = options;
    this.target = options.target;
  }

  async calibrate({ signal, known }: CallOptions & { readonly known?: Calibration }): Promise<Calibration> {
    this.#calibration = known ?? this.#calibration ?? (await this.#takeCalibration(signal));
    return this.#calibration;
  }

  async measure(network: Graph, protocol: Protocol, options: CallOptions): Promise<Measurement> {
    const { signal, onProgress } = options;
    const { clock, seed = 1 } = this.#options;
    if (this.#closed) throw new HildaError('DEVICE_FAILED', 'the device was closed');
    if (signal.aborted)
      throw new HildaError('INTERRUPTED', 'the measurement was aborted', { cause: signal.reason });
    const calibration = await this.calibrate(options);
    const reference = referenceFor(network);
    const takenAtMs = clock.nowMs();
    const startUs = clock.monotonicUs();
    onProgress?.({ step: 'load', done: 0, of: 1 });
    await this.#putModel('candidate', network, signal);
    await this.#putModel('reference', referenceNetworks()[reference], signal);
    const before = await this.#state(signal);
    const first = await this.#runOnce('candidate', 1, signal);
    const run = await measureLatency(
      { time: (legs) => this.#time(legs, signal) },
      // A leg costs a process: the warm-up of blocks would only start more of them, and each run warms itself up.
      { ...protocol, warmupMaxMs: 1 },
      {
        clock,
        rng: Xoshiro128.fromSeed(seed),
        signal,
        expectedUs: first.meanUs,
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
      loadUs: first.loadUs ?? first.meanUs,
      firstRunUs: first.firstRunUs ?? first.meanUs,
      // The runner prints the process's peak, runtime included, which no limit of a network can be held against.
      activationPeakBytes: planned,
      runPeakRssBytes: first.peakBytes,
      manifest: {
        runner: 'onnxruntime_perf_test',
        memorySource: plannedSource(planned),
        copiesIncluded: true,
        seed,
        before,
        after,
      },
      voided: judgePhone(before, after),
      takenAtMs,
      durationMs: (clock.monotonicUs() - startUs) / 1000,
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  async #takeCalibration(signal: AbortSignal): Promise<Calibration> {
    const networks = referenceNetworks();
    await this.#putModel('candidate', networks.convolution, signal);
    await this.#putModel('reference', networks.transformer, signal);
    const [convolution, transformer]: [number[], number[]] = [[], []];
    for (let visit = 0; visit < calibrationVisits; visit++) {
      convolution.push(typicalUs(await this.#runOnce('candidate', 20, signal)));
      transformer.push(typicalUs(await this.#runOnce('reference', 20, signal)));
    }
    return {
      convolutionUs: median(convolution),
      transformerUs: median(transformer),
      takenAtMs: this.#options.clock.nowMs(),
    };
  }

  async #time(legs: readonly RoundLeg[], signal: AbortSignal): Promise<TimedRound> {
    const samplesUs: Float64Array[] = [];
    for (const { network, runs } of legs)
      samplesUs.push(Float64Array.of(typicalUs(await this.#runOnce(network, runs, signal))));
    return { samplesUs, lostShare: null };
  }

  async #runOnce(network: RoundLeg['network'], runs: number, signal: AbortSignal): Promise<RunnerReport> {
    const { adb, serial, timeoutMs = 60_000 } = this.#options;
    const { provider, threads } = this.target;
    const args = [
      `${folder}/runner`,
      '-I',
      '-m',
      'times',
      '-r',
      String(runs),
      '-e',
      provider,
      '-x',
      String(threads),
    ];
    const command = [...args, `${folder}/${network}.onnx`].map(quoted).join(' ');
    const { stdout, stderr, exitCode } = await adb.shell(serial, command, { signal, timeoutMs });
    if (exitCode !== 0) throw runtimeFailure(new Error(stderr.trim() || `the runner ended with ${exitCode}`));
    return parseOnnxRuntimePerfTest(stdout);
  }

  async #putModel(name: RoundLeg['network'], network: Graph, signal: AbortSignal): Promise<void> {
    const { adb, serial, runner } = this.#options;
    if (!this.#ready) {
      await adb.shell(serial, `mkdir -p ${folder}`, { signal });
      await adb.push(serial, `${folder}/runner`, runner, 0o755, { signal, timeoutMs: 120_000 });
      this.#ready = true;
    }
    await adb.push(serial, `${folder}/${name}.onnx`, writeOnnx(network), 0o644, {
      signal,
      timeoutMs: 120_000,
    });
  }

  async #state(signal: AbortSignal) {
    const { adb, serial } = this.#options;
    return parsePhoneState((await adb.shell(serial, phoneStateCommand, { signal })).stdout);
  }
}

const typicalUs = ({ medianUs, meanUs }: RunnerReport): number => medianUs ?? meanUs;

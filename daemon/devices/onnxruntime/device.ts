import type { Clock } from '../../core/clock.js';
import { HildaError } from '../../core/errors.js';
import type { Measurement, OperatorCost } from '../../core/measurement.js';
import { Xoshiro128 } from '../../core/rng.js';
import type { Target } from '../../core/target.js';
import { assembleMeasurement } from '../../measure/assemble.js';
import type { Calibration } from '../../measure/calibration.js';
import { hostManifest, readConditions } from '../../measure/manifest.js';
import { measureLatency } from '../../measure/measure-latency.js';
import { priorWeight } from '../../measure/mixture.js';
import { networkFacts } from '../../measure/network-facts.js';
import { plannedActivationBytes, plannedSource } from '../../measure/planned-memory.js';
import type { Protocol } from '../../measure/protocol.js';
import { referenceFor, referenceNetworks } from '../../measure/references.js';
import { median } from '../../measure/statistics.js';
import type { Graph } from '../../network/graph.js';
import { modelBytes } from '../../network/model-source.js';
import { writeOnnx } from '../../network/write-onnx.js';
import type { CallLimits } from '../../runtime/child-channel.js';
import { graphFeeds } from '../../runtime/graph-feeds.js';
import type { LoadedSession } from '../../runtime/messages.js';
import { toldByNode } from '../../runtime/refused-node.js';
import { SessionProcess } from '../../runtime/session-process.js';
import { asInputs, asTensors } from '../../runtime/tensors.js';
import type { CallOptions, Device, Limits, Tensors } from '../contract.js';
import { calibrate } from './calibrate.js';
import { GpuWatch } from './gpu-watch.js';
import { SessionRounds } from './session-rounds.js';
import { activationPeakBytes, assertPlacement, operatorCosts } from './trace-costs.js';
import { warmCallPath } from './warm-call-path.js';

export interface OnnxRuntimeDeviceOptions {
  readonly target: Target;
  readonly limits: Limits;
  readonly clock: Clock;
  /** Bound of each session process's address space. */
  readonly memoryLimitBytes: number | null;
  /** Bound of loading and of each single request to the session process; an endless network is killed then. */
  readonly timeoutMs: number;
  readonly cpu: number | null;
  readonly environment: Readonly<Record<string, string>>;
  readonly seed: number;
  /** The provider computes on the CPU in place of a GPU: outputs are right, times mean nothing. */
  readonly software?: boolean;
  /** The nvidia-smi program where the GPU is NVIDIA's, to read its state and memory. */
  readonly nvidiaSmi?: string | null;
}

const profileRuns = 20;

/** Loads a network; what onnxruntime refuses is told by its node. */
async function load(
  process: SessionProcess,
  network: Graph,
  options: Parameters<SessionProcess['load']>[1],
  limits: CallLimits,
): Promise<LoadedSession> {
  try {
    return await process.load(modelBytes(network), options, limits);
  } catch (error) {
    throw await toldByNode(error, network, process, limits);
  }
}

/** This host through onnxruntime. Every visit gets a session process of its own, so no network sees another's heap. */
export class OnnxRuntimeDevice implements Device {
  readonly target: Target;
  readonly limits: Limits;
  readonly #options: OnnxRuntimeDeviceOptions;
  readonly #living = new Set<SessionProcess>();
  #calibration: Calibration | null = null;
  #closed = false;

  constructor(options: OnnxRuntimeDeviceOptions) {
    this.target = options.target;
    this.limits = options.limits;
    this.#options = options;
  }

  async calibrate({ signal, known }: CallOptions & { readonly known?: Calibration }): Promise<Calibration> {
    this.#assertSpeed();
    this.#calibration =
      known ??
      this.#calibration ??
      (await this.#visit((process) =>
        calibrate(process, this.#session, { signal, clock: this.#options.clock }),
      ));
    return this.#calibration;
  }

  async measure(network: Graph, protocol: Protocol, options: CallOptions): Promise<Measurement> {
    const { signal, onProgress } = options;
    const { clock, seed, timeoutMs, nvidiaSmi = null } = this.#options;
    this.#assertSpeed();
    this.#assertBatch(network);
    const model = modelBytes(network);
    const feeds = graphFeeds(network);
    const calibration = await this.calibrate(options);
    const reference = referenceFor(network);
    const takenAtMs = clock.nowMs();
    const startUs = clock.monotonicUs();
    return this.#visit(async (process) => {
      const limits = { signal, timeoutMs };
      const gpu = nvidiaSmi === null ? null : new GpuWatch(nvidiaSmi, signal);
      const before = { ...readConditions(), ...(gpu && { gpu: await gpu.state() }) };
      await gpu?.markMemory(process);
      onProgress?.({ step: 'load', done: 0, of: 1 });
      const candidate = await load(process, network, { ...this.#session, feeds }, limits);
      const first = await process.firstRun(candidate.handle, limits);
      const gpuMemory = (await gpu?.memoryRise(process)) ?? null;
      const { convolution, transformer } = referenceNetworks();
      const beside = await process.load(writeOnnx(convolution), this.#session, limits);
      const second = await process.load(writeOnnx(transformer), this.#session, limits);
      await warmCallPath(process, limits);
      const rounds = new SessionRounds(process, {
        candidate: candidate.handle,
        reference: beside.handle,
        second: second.handle,
        provider: this.target.provider,
        timeoutMs: timeoutMs + protocol.maxMs,
      });
      const run = await measureLatency(rounds, protocol, {
        clock,
        rng: Xoshiro128.fromSeed(seed),
        signal,
        // The first run of a GPU compiles its shaders, which may take a thousand times longer than a run.
        expectedUs: this.#onGpu ? await settledUs(rounds, signal) : first.firstRunUs,
        likeFirst: priorWeight(network),
        onRound: (_, total) => onProgress?.({ step: 'rounds', done: total, of: protocol.maxRounds }),
      });
      await process.release(candidate.handle, limits);
      onProgress?.({ step: 'memory', done: 0, of: 1 });
      const traced = await process.load(model, { ...this.#session, feeds, profile: true }, limits);
      const trace = await process.profile(traced.handle, 1, limits);
      assertPlacement(trace, this.target.provider);
      const facts = networkFacts(network);
      const counted = activationPeakBytes(trace);
      const planned = counted > 0 ? counted : plannedActivationBytes(network);
      return assembleMeasurement({
        facts,
        target: this.target,
        provenance: 'measured',
        protocol,
        run,
        reference,
        calibration,
        loadUs: candidate.loadUs,
        firstRunUs: first.firstRunUs,
        // Providers that keep their buffers to themselves leave the runtime's counter at zero: then the plan speaks.
        activationPeakBytes: planned,
        runPeakRssBytes: first.runPeakRssBytes,
        manifest: {
          ...hostManifest(),
          runtimeVersion: this.target.runtimeVersion,
          provider: this.target.provider,
          threads: this.target.threads,
          pinnedCpu: this.#options.cpu,
          seed,
          memorySource: counted > 0 ? "the runtime's own counter" : plannedSource(planned),
          placementVerified: true,
          ...(this.#onGpu && { copiesIncluded: true, gpuMemory }),
          before,
          after: { ...readConditions(), ...(gpu && { gpu: await gpu.state() }) },
        },
        takenAtMs,
        durationMs: (clock.monotonicUs() - startUs) / 1000,
      });
    });
  }

  async profile(network: Graph, { signal }: CallOptions): Promise<readonly OperatorCost[]> {
    const limits = { signal, timeoutMs: this.#options.timeoutMs };
    return this.#visit(async (process) => {
      const options = { ...this.#session, feeds: graphFeeds(network), profile: true };
      const { handle } = await load(process, network, options, limits);
      const trace = await process.profile(handle, 1 + profileRuns, limits);
      assertPlacement(trace, this.target.provider);
      return operatorCosts(trace);
    });
  }

  async run(network: Graph, inputs: Tensors, { signal }: CallOptions): Promise<Tensors> {
    const limits = { signal, timeoutMs: this.#options.timeoutMs };
    return this.#visit(async (process) => {
      const { handle } = await load(process, network, this.#session, limits);
      return asTensors(await process.run(handle, asInputs(network, inputs), {}, limits));
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#living].map((process) => process.stop()));
  }

  get #onGpu(): boolean {
    return this.target.provider !== 'cpu';
  }

  #assertSpeed(): void {
    if (this.#options.software && !this.#closed)
      throw new HildaError('PROVIDER_SOFTWARE', `${this.target.model} is no GPU: no speed is taken from it`);
  }

  /** A target's costs are those of its batch; a network that was built for another one belongs to another target. */
  #assertBatch({ inputs }: Graph): void {
    const { batch } = this.target;
    if (batch === undefined || inputs.every(({ dims }) => dims[0] === batch)) return;
    throw new HildaError('NETWORK_REJECTED', `this device measures batches of ${batch}`, {
      hint: 'Build the network with this leading dimension.',
    });
  }

  get #session(): { readonly provider: string; readonly threads: number } {
    return { provider: this.target.provider, threads: this.target.threads };
  }

  async #visit<T>(use: (process: SessionProcess) => Promise<T>): Promise<T> {
    if (this.#closed) throw new HildaError('DEVICE_FAILED', 'the device was closed');
    const { memoryLimitBytes, cpu, environment, clock } = this.#options;
    const process = new SessionProcess({ memoryLimitBytes, cpu, environment, clock });
    this.#living.add(process);
    try {
      return await use(process);
    } finally {
      await process.stop();
      this.#living.delete(process);
    }
  }
}

/** Runs the candidate until two medians in a row agree, a minute at most; answers with the last, microseconds. */
async function settledUs(rounds: SessionRounds, signal: AbortSignal): Promise<number> {
  let last = Number.POSITIVE_INFINITY;
  let spentUs = 0;
  for (let block = 0; block < 50 && spentUs < 60e6; block++) {
    const { samplesUs } = await rounds.time([{ network: 'candidate', runs: 3 }], { signal });
    const samples = samplesUs[0] as Float64Array;
    const now = median(samples);
    spentUs += samples.reduce((sum, value) => sum + value, 0);
    if (Math.abs(now - last) <= 0.05 * now) return now;
    last = now;
  }
  return last;
}

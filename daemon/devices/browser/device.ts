import type { Clock } from '../../core/clock.js';
import { HildaError } from '../../core/errors.js';
import type { Json } from '../../core/json.js';
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
import { median } from '../../measure/statistics.js';
import type { Judgement } from '../../measure/verdict.js';
import type { Graph } from '../../network/graph.js';
import { asInputs } from '../../runtime/tensors.js';
import type { CallOptions, Device, Limits, Tensors } from '../contract.js';
import { PageRounds } from './page-rounds.js';
import type { PageSession } from './page-session.js';
import { PageWorker } from './page-worker.js';
import type { PageState } from './wire.js';

/** Facts of the phone around a measurement, and whether they spoil it; what the page itself cannot know. */
export interface Surroundings {
  read(options: { readonly signal: AbortSignal }): Promise<{ readonly [key: string]: Json }>;
  judge(before: { readonly [key: string]: Json }, after: { readonly [key: string]: Json }): Judgement | null;
}

export interface BrowserDeviceOptions {
  readonly page: PageSession;
  readonly target: Target;
  /** Its provider computes on the CPU: outputs are right, times mean nothing. */
  readonly software: boolean;
  readonly clock: Clock;
  /** Bound of each call to the page; 60 s by default. */
  readonly timeoutMs?: number;
  readonly seed?: number;
  readonly surroundings?: Surroundings;
}

const calibrationLegs = 30;

/** One way to run networks on a page that joined: a provider and a number of threads, in a fresh worker a network. */
export class BrowserDevice implements Device {
  readonly target: Target;
  readonly limits: Limits = { memoryBytes: null, weightBytes: null };
  readonly #options: BrowserDeviceOptions;
  #calibration: Calibration | null = null;
  #closed = false;

  constructor(options: BrowserDeviceOptions) {
    this.#options = options;
    this.target = options.target;
  }

  async calibrate({ signal, known }: CallOptions & { readonly known?: Calibration }): Promise<Calibration> {
    // Nothing to calibrate where no speed is taken; the pool may ask all the same.
    if (this.#options.software) return known ?? { convolutionUs: 1, transformerUs: 1, takenAtMs: 0 };
    this.#calibration = known ?? this.#calibration ?? (await this.#takeCalibration(signal));
    return this.#calibration;
  }

  async measure(network: Graph, protocol: Protocol, options: CallOptions): Promise<Measurement> {
    const { signal, onProgress } = options;
    const { clock, page, seed = 1, surroundings } = this.#options;
    this.#assertSpeed();
    const calibration = await this.calibrate(options);
    const reference = referenceFor(network);
    const takenAtMs = clock.nowMs();
    const startUs = clock.monotonicUs();
    return this.#visit(signal, async (worker) => {
      const { timerStepUs, touchedBytes: baseBytes } = worker.start;
      const before = { page: page.state, phone: (await surroundings?.read({ signal })) ?? null };
      onProgress?.({ step: 'load', done: 0, of: 1 });
      const { loadUs } = await worker.load('candidate', network);
      const first = await worker.call({ op: 'first', slot: 'candidate' });
      await worker.load('reference', referenceNetworks()[reference]);
      await worker.call({ op: 'first', slot: 'reference' });
      const rounds = new PageRounds(page, {
        clock,
        timerStepUs,
        timeoutMs: this.#timeoutMs + protocol.maxMs,
      });
      await rounds.settle('reference', { signal });
      const expectedUs = await rounds.settle('candidate', { signal });
      const run = await measureLatency(rounds, protocol, {
        clock: rounds.clock,
        rng: Xoshiro128.fromSeed(seed),
        signal,
        expectedUs,
        onRound: (_, total) => onProgress?.({ step: 'rounds', done: total, of: protocol.maxRounds }),
      });
      const after = { page: page.state, phone: (await surroundings?.read({ signal })) ?? null };
      const facts = networkFacts(network);
      // WebGPU's buffers are not in the wasm heap, so that for them the plan must speak; the manifest says which.
      const onHeap = this.target.provider === 'wasm';
      const heapBytes = Math.max(0, first.touchedBytes - baseBytes - facts.weightBytes);
      const activations = onHeap ? heapBytes : plannedActivationBytes(network);
      return assembleMeasurement({
        facts,
        target: this.target,
        provenance: 'measured',
        protocol,
        run,
        reference,
        calibration,
        loadUs,
        firstRunUs: Math.max(first.firstRunUs, timerStepUs),
        activationPeakBytes: activations,
        runPeakRssBytes: null,
        manifest: {
          ...page.about,
          timerStepUs,
          runsPerSample: { ...rounds.inner },
          copiesIncluded: true,
          memorySource: onHeap ? 'touched 4 KiB pages of the wasm heap' : plannedSource(activations),
          line: { ...page.facts },
          wasmTouchedBytes: first.touchedBytes - baseBytes,
          seed,
          before,
          after,
        },
        voided:
          hidden(before.page, after.page) ??
          (before.phone && after.phone && surroundings
            ? surroundings.judge(before.phone, after.phone)
            : null),
        takenAtMs,
        durationMs: (clock.monotonicUs() - startUs) / 1000,
      });
    });
  }

  async run(network: Graph, inputs: Tensors, { signal }: CallOptions): Promise<Tensors> {
    return this.#visit(signal, async (worker) => {
      await worker.load('candidate', network);
      return worker.run('candidate', asInputs(network, inputs));
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #assertSpeed(): void {
    if (!this.#options.software || this.#closed) return;
    throw new HildaError(
      'PROVIDER_SOFTWARE',
      `${this.target.model} is a software adapter: no speed is taken from it`,
    );
  }

  get #timeoutMs(): number {
    return this.#options.timeoutMs ?? 60_000;
  }

  async #takeCalibration(signal: AbortSignal): Promise<Calibration> {
    const { clock, page } = this.#options;
    return this.#visit(signal, async (worker) => {
      const { timerStepUs } = worker.start;
      const rounds = new PageRounds(page, { clock, timerStepUs, timeoutMs: this.#timeoutMs });
      const networks = referenceNetworks();
      // Both stand in one worker, as a candidate and its reference do.
      await worker.load('candidate', networks.convolution);
      await worker.load('reference', networks.transformer);
      const medians: number[][] = [[], []];
      const legs = [
        { network: 'candidate', runs: 4 },
        { network: 'reference', runs: 4 },
      ] as const;
      for (const slot of ['candidate', 'reference'] as const) await rounds.settle(slot, { signal });
      for (let leg = 0; leg < calibrationLegs; leg++) {
        const { samplesUs } = await rounds.time(legs, { signal });
        for (const [i, samples] of samplesUs.entries()) medians[i]?.push(median(samples));
      }
      // The first third warms the engine up: its optimising compiler comes in while the code runs.
      const [convolutionUs, transformerUs] = medians.map((list) => median(list.slice(calibrationLegs / 3)));
      return {
        convolutionUs: convolutionUs as number,
        transformerUs: transformerUs as number,
        takenAtMs: clock.nowMs(),
      };
    });
  }

  async #visit<T>(signal: AbortSignal, work: (worker: PageWorker) => Promise<T>): Promise<T> {
    if (this.#closed) throw new HildaError('DEVICE_FAILED', 'the device was closed');
    return PageWorker.use(
      this.#options.page,
      { target: this.target, signal, timeoutMs: this.#timeoutMs },
      work,
    );
  }
}

/** A hidden page is slowed or frozen at the browser's will: nothing taken meanwhile counts. */
function hidden(before: PageState, after: PageState): Judgement | null {
  const times = after.hiddenCount - before.hiddenCount;
  if (times === 0 && !after.hidden) return null;
  return {
    verdict: 'suspect',
    reason: `The page was hidden ${times || 1} time(s) during the measurement: void.`,
  };
}

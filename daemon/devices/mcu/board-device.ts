import { operatorFacts } from '../../../firmware-bridge/compiler/index.js';
import type { BoardSession, Slot } from '../../../firmware-bridge/link/index.js';
import type { Clock } from '../../core/clock.js';
import { asHildaError, HildaError } from '../../core/errors.js';
import type { Measurement, OperatorCost, OperatorCount } from '../../core/measurement.js';
import type { Target } from '../../core/target.js';
import type { Calibration } from '../../measure/calibration.js';
import { networkFacts } from '../../measure/network-facts.js';
import type { Protocol } from '../../measure/protocol.js';
import type { Graph } from '../../network/graph.js';
import type {
  Calibrating,
  CallOptions,
  Deployment,
  Device,
  Drawn,
  Examples,
  Limits,
  Rehearsal,
  Tensors,
} from '../contract.js';
import { type CountOptions, takeCosts } from './board-costs.js';
import {
  checkDeployed,
  deploymentOf,
  inferOnce,
  type Placed,
  portsOf,
  rehearsalOf,
} from './board-deployment.js';
import type { BoardKeeper } from './board-keeper.js';
import type { BoardProfile } from './board-profile.js';
import { type BoardProgram, compileForBoard } from './board-program.js';
import { tellSigns } from './board-signs.js';
import { calibrateOn, scalesFrom } from './calibrate.js';
import { classifyInThreads } from './classify.js';
import { contradicts, SiliconMeter } from './silicon-meter.js';

export interface BoardDeviceOptions {
  readonly target: Target;
  readonly limits: Limits;
  readonly profile: BoardProfile;
  readonly keeper: BoardKeeper;
  readonly clock: Clock;
  /** `emulated`: counts alone; no microseconds are made of them. */
  readonly provenance: 'measured' | 'emulated';
  readonly unit: CountOptions['unit'];
  /** Bound of one inference, in the board's own time, and for its answer in this machine's. */
  readonly limitMs?: number;
  readonly timeoutMs?: number;
}

const defaultLimitMs = 60_000;
const defaultTimeoutMs = 180_000;

/** A board with hilda's firmware: every network is data sent over its line. */
export class BoardDevice implements Device {
  readonly target: Target;
  readonly limits: Limits;
  readonly calibrate?: NonNullable<Device['calibrate']>;
  readonly #options: BoardDeviceOptions;
  readonly #meter: SiliconMeter;
  #calibration: Calibration | undefined;

  constructor(options: BoardDeviceOptions) {
    this.target = options.target;
    this.limits = options.limits;
    this.#options = options;
    const { profile, clock } = options;
    this.#meter = new SiliconMeter({ profile, clock, bounds: this.#bounds });
    if (options.provenance === 'measured') this.calibrate = (call) => this.#calibrate(call);
  }

  async measure(network: Graph, protocol: Protocol, options: CallOptions): Promise<Measurement> {
    const { clock, provenance, profile } = this.#options;
    const calibration = provenance === 'measured' ? await this.#calibrate(options) : null;
    return this.#use(options, async (session) => {
      const takenAtMs = clock.nowMs();
      const startUs = clock.monotonicUs();
      options.onProgress?.({ step: 'compile', done: 0, of: 1 });
      const { ramBytes } = options;
      const program = await compileForBoard(network, profile, session.board, {
        weights: 'pool',
        ...(ramBytes !== undefined && { ramBytes }),
      });
      const facts = networkFacts(network);
      const { counts, manifest, ...figures } = calibration
        ? await this.#meter.measure(session, network, program, { ...options, protocol, calibration })
        : await this.#emulated(session, program, options);
      return {
        target: this.target,
        provenance,
        protocol: protocol.name,
        structureHash: facts.structureHash,
        weightsHash: facts.weightsHash,
        counts,
        ...figures,
        memory: {
          weightBytes: program.compiled.deployedConstantsBytes,
          activationPeakBytes: counts.arenaPeakBytes,
          peakBytes: program.compiled.deployedConstantsBytes + counts.arenaPeakBytes,
          runPeakRssBytes: null,
        },
        manifest: {
          board: session.board.board,
          chipId: session.board.chipId,
          firmwareBuild: session.board.buildHash,
          clockHz: session.board.coreHz,
          programIn: program.slot === 'ram' ? 'ram' : 'flash',
          weights: counts.weights,
          // Counts are those of the plan that this limit led to.
          ramLimitBytes: ramBytes ?? null,
          ...manifest,
          droppedFrames: session.droppedFrames,
        },
        takenAtMs,
        durationMs: (clock.monotonicUs() - startUs) / 1000,
      } satisfies Measurement;
    });
  }

  /** Counts to the last one, and no time. */
  async #emulated(session: BoardSession, program: BoardProgram, { signal, onProgress }: CallOptions) {
    const { counts, disagreement, runs } = await takeCosts(session, program, {
      signal,
      unit: this.#options.unit,
      onRun: (done, of) => onProgress?.({ step: 'rounds', done, of }),
      ...this.#bounds,
    });
    return {
      counts,
      latency: null,
      rounds: [],
      verdict: disagreement ? ('suspect' as const) : ('valid' as const),
      reason: disagreement
        ? `The board contradicts itself: ${disagreement}.`
        : `${runs.length} runs took the same ${counts.total} ${counts.unit} to the last one, and the arena was used as planned.`,
      manifest: { tickOverhead: runs[0]?.report.tickOverhead ?? 0 },
    };
  }

  /** From the counters of a run like any other; a board that is real has times too. */
  async profile(network: Graph, options: CallOptions): Promise<readonly OperatorCost[]> {
    const { profile, provenance } = this.#options;
    return this.#use(options, async (session) => {
      const program = await compileForBoard(network, profile, session.board, { weights: 'pool' });
      const operators = await this.#operatorCosts(session, program, options);
      const facts = operatorFacts(program.compiled);
      return operators.map(({ name, op, count }, i) => ({
        name,
        op,
        provider: this.target.provider,
        medianUs: provenance === 'measured' ? (count * 1e6) / session.board.ticksHz : null,
        count: { unit: this.#options.unit, value: count, provenance },
        outputBytes: facts[i]?.outputBytes ?? 0,
        parameterBytes: facts[i]?.parameterBytes ?? 0,
        liveBytes: facts[i]?.liveBytes ?? 0,
      }));
    });
  }

  async classify(network: Graph, examples: Examples, options: CallOptions): Promise<Uint16Array> {
    const { inputs, outputs } = network;
    if (inputs.length > 1 || outputs.length > 1)
      throw new HildaError(
        'NETWORK_REJECTED',
        `a classifier has one input and one output, this network ${inputs.length} and ${outputs.length}`,
      );
    return this.#use(options, async (session) => {
      const { compiled } = await compileForBoard(network, this.#options.profile, session.board, {
        weights: 'real',
        calibration: examples.ranges,
      });
      return classifyInThreads(compiled, examples, options);
    });
  }

  async run(network: Graph, inputs: Tensors, options: CallOptions): Promise<Tensors> {
    return this.#use(options, async (session) => {
      const calibration = calibrateOn({ calibration: [inputs] }, options.signal);
      const { compiled, slot } = await compileForBoard(network, this.#options.profile, session.board, {
        weights: 'real',
        calibration: calibration.ranges,
      });
      const facts = await session.upload(slot, compiled.program, { signal: options.signal });
      return this.#infer(session, slot, { ...facts, ...portsOf(compiled) }, inputs, options);
    });
  }

  async deploy(network: Graph, options: CallOptions & Calibrating): Promise<Deployment> {
    return this.#use(options, async (session) => {
      const calibration = calibrateOn(options, options.signal);
      const { compiled } = await compileForBoard(network, this.#options.profile, session.board, {
        weights: 'real',
        calibration: calibration.ranges,
      });
      const facts = await session.deploy(compiled.program, {
        signal: options.signal,
        onProgress: (done) => options.onProgress?.({ step: 'upload', done, of: compiled.program.length }),
      });
      return deploymentOf(network, compiled, facts, scalesFrom(compiled, calibration.description));
    });
  }

  async runDeployed(deployment: Deployment, inputs: Tensors, options: CallOptions): Promise<Tensors> {
    return this.#use(options, async (session) => {
      checkDeployed(deployment, await session.hello(options));
      return this.#infer(session, 'deployed', deployment, inputs, options);
    });
  }

  async rehearse(
    network: Graph,
    { tests, ...options }: CallOptions & Calibrating & { readonly tests: Drawn },
  ): Promise<Rehearsal> {
    return this.#use(options, async (session) => {
      const { compiled } = await compileForBoard(network, this.#options.profile, session.board, {
        weights: 'real',
        calibration: calibrateOn(options, options.signal).ranges,
      });
      return rehearsalOf(network, compiled, tests);
    });
  }

  async erase(options: CallOptions): Promise<void> {
    await this.#use(options, (session) => session.erase(options));
  }

  async reset(options: CallOptions): Promise<void> {
    await this.#use(options, (session) => session.reset(options));
  }

  async close(): Promise<void> {
    await this.#options.keeper.close();
  }

  #infer(
    session: BoardSession,
    slot: Slot,
    deployed: Placed,
    inputs: Tensors,
    { signal }: CallOptions,
  ): Promise<Tensors> {
    return inferOnce(session, slot, deployed, inputs, { signal, ...this.#bounds });
  }

  /** Of an emulated board one run's, which equals any other; of a real one the medians of several. */
  async #operatorCosts(
    session: BoardSession,
    program: BoardProgram,
    options: CallOptions,
  ): Promise<readonly OperatorCount[]> {
    const { unit, provenance } = this.#options;
    if (provenance === 'measured') return this.#meter.operatorCosts(session, program, options);
    const { signal, onProgress } = options;
    const { counts, disagreement } = await takeCosts(session, program, {
      signal,
      unit,
      onRun: (done, of) => onProgress?.({ step: 'rounds', done, of }),
      ...this.#bounds,
    });
    if (disagreement) throw contradicts(disagreement);
    return counts.operators;
  }

  get #bounds(): { limitMs: number; timeoutMs: number } {
    const { limitMs = defaultLimitMs, timeoutMs = defaultTimeoutMs } = this.#options;
    return { limitMs, timeoutMs };
  }

  async #calibrate({
    known,
    ...options
  }: CallOptions & { readonly known?: Calibration }): Promise<Calibration> {
    this.#calibration ??=
      known ?? (await this.#use(options, (session) => this.#meter.calibrate(session, options.signal)));
    return this.#calibration;
  }

  /** The board, attached; afterwards it is idle again after any outcome, or dropped and taken up afresh. */
  async #use<T>(options: CallOptions, job: (session: BoardSession) => Promise<T>): Promise<T> {
    const { keeper, clock } = this.#options;
    const { signal } = options;
    const over = new AbortController();
    try {
      const session = await keeper.attach(signal);
      if (options.onProgress) void tellSigns(session, clock, options.onProgress, over.signal);
      await session.ready({ signal });
      return await job(session);
    } catch (thrown) {
      const error = asHildaError(thrown);
      // A board that does not answer is restarted, not waited for; one that cannot be is taken up afresh.
      if (error.details.unanswered === true) await keeper.restart(error).catch(() => keeper.drop());
      if (signal.aborted && error.code !== 'INTERRUPTED')
        throw new HildaError('INTERRUPTED', 'the call was aborted', { cause: thrown });
      throw error;
    } finally {
      over.abort();
    }
  }
}

import type { BoardSession, Hello } from '../../../firmware-bridge/link/index.js';
import type { Clock } from '../../core/clock.js';
import { asHildaError, HildaError } from '../../core/errors.js';
import type { OperatorCount } from '../../core/measurement.js';
import type { Calibration, ReferenceName } from '../../measure/calibration.js';
import type { Protocol } from '../../measure/protocol.js';
import { referenceFor, referenceNetworks } from '../../measure/references.js';
import { median } from '../../measure/statistics.js';
import type { Graph } from '../../network/graph.js';
import type { CallOptions } from '../contract.js';
import { contradiction, countsOf, namedOperators } from './board-costs.js';
import type { BoardProfile } from './board-profile.js';
import { type BoardProgram, compileForBoard } from './board-program.js';
import { type BoardRun, loadProgram, type RunBounds } from './board-runs.js';
import { centreOf, timesOf } from './silicon-latency.js';
import { type ReferenceLeg, runsInRow, takeRounds } from './silicon-rounds.js';
import { judgeSilicon, oddTicks } from './silicon-verdict.js';

export interface SiliconMeterOptions {
  readonly profile: BoardProfile;
  readonly clock: Clock;
  /** Bounds of one inference. */
  readonly bounds: Omit<RunBounds, 'signal'>;
}

/** Runs that a profile and the calibration take, after one that warms the caches. */
const fewRuns = 7;

export const contradicts = (what: string): HildaError =>
  new HildaError('DEVICE_FAILED', `the board contradicts itself: ${what}`);

/** Measures on a real board, whose counts differ from run to run: in rounds, beside the reference networks. */
export class SiliconMeter {
  readonly #options: SiliconMeterOptions;
  readonly #references = new Map<string, BoardProgram>();
  /** The leg behind the last measurement, and what the board then said about itself. */
  #lastLeg:
    | { readonly reference: ReferenceName; readonly hello: Hello; readonly leg: ReferenceLeg }
    | undefined;

  constructor(options: SiliconMeterOptions) {
    this.#options = options;
  }

  /** What both references take, in the unit that normalised latencies are given in. */
  async calibrate(session: BoardSession, signal: AbortSignal): Promise<Calibration> {
    const timeUs = async (reference: ReferenceName): Promise<number> => {
      const runs = await this.#fewRuns(session, await this.#reference(session, reference), { signal });
      return (median(runs.map(({ total }) => total)) * 1e6) / session.board.ticksHz;
    };
    return {
      convolutionUs: await timeUs('convolution'),
      transformerUs: await timeUs('transformer'),
      takenAtMs: this.#options.clock.nowMs(),
    };
  }

  /** The parts of a measurement that come from its rounds. */
  async measure(
    session: BoardSession,
    network: Graph,
    program: BoardProgram,
    {
      protocol,
      calibration,
      signal,
      onProgress,
    }: CallOptions & { readonly protocol: Protocol; readonly calibration: Calibration },
  ) {
    const { clock, profile, bounds } = this.#options;
    const reference = referenceFor(network);
    const last = this.#lastLeg;
    this.#lastLeg = undefined;
    const rounds = await takeRounds(session, program, {
      clock,
      protocol,
      reference: await this.#reference(session, reference),
      before: last?.reference === reference && last.hello === session.board ? last.leg : undefined,
      onRound: (done, of) => onProgress?.({ step: 'rounds', done, of }),
      signal,
      ...bounds,
    });
    const leg = rounds.legs.at(-1);
    if (leg && rounds.referenceFault === null) this.#lastLeg = { reference, hello: session.board, leg };
    const { ticksHz, clockPpm } = session.board;
    const times = timesOf(rounds, { ticksHz, clockPpm, calibration, reference });
    const { total, operator } = centreOf(rounds);
    const { normalisedUs, normalisedCiUs } = times.latency;
    const halfWidth = (normalisedCiUs[1] - normalisedCiUs[0]) / 2 / normalisedUs;
    return {
      ...times,
      counts: countsOf(session, program, {
        runs: rounds.painted,
        unit: 'cycles' as const,
        ...total,
        operators: namedOperators(program, operator),
      }),
      ...judgeSilicon({
        rounds,
        protocol,
        program,
        weightLayout: profile.weightLayout,
        halfWidth,
        clockPpm,
      }),
      manifest: {
        clockPpm,
        tickOverhead: rounds.painted[0]?.report.tickOverhead ?? 0,
        calibration: { ...calibration },
        referenceTicks: rounds.legs.map(({ ticks }) => [...ticks]),
        stoppedBy: rounds.stoppedBy,
      },
    };
  }

  /** Medians of a few runs, by operator. */
  async operatorCosts(
    session: BoardSession,
    program: BoardProgram,
    { signal, onProgress }: CallOptions,
  ): Promise<readonly OperatorCount[]> {
    const runs = await this.#fewRuns(session, program, {
      signal,
      onRun: (done) => onProgress?.({ step: 'rounds', done, of: 1 + fewRuns }),
    });
    return namedOperators(program, centreOf({ blocks: [runs] }).operator);
  }

  async #fewRuns(
    session: BoardSession,
    program: BoardProgram,
    { signal, onRun }: { readonly signal: AbortSignal; readonly onRun?: (done: number) => void },
  ): Promise<readonly BoardRun[]> {
    const runOnce = await loadProgram(session, program, { signal, ...this.#options.bounds });
    const runs = await runsInRow(runOnce, 1 + fewRuns, onRun);
    const odd = contradiction(runs, program) ?? runs.map(oddTicks).find((found) => found !== null);
    if (odd) throw contradicts(odd);
    return runs.slice(1);
  }

  /** Compiled once for a build of the firmware. Throws DEVICE_OUT_OF_MEMORY where it does not fit. */
  async #reference(session: BoardSession, reference: ReferenceName): Promise<BoardProgram> {
    const key = `${reference} ${session.board.buildHash}`;
    const known = this.#references.get(key);
    if (known) return known;
    const network = referenceNetworks()[reference];
    try {
      const program = await compileForBoard(network, this.#options.profile, session.board, {
        weights: 'pool',
      });
      this.#references.set(key, program);
      return program;
    } catch (thrown) {
      const { code, message, hint, details } = asHildaError(thrown);
      throw new HildaError(code, `the reference network does not run on this board: ${message}`, {
        hint,
        details,
        cause: thrown,
      });
    }
  }
}

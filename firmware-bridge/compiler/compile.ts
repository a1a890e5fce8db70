import type { Graph } from '../../daemon/network/graph.js';
import { type CompilerBoard, linearCosts } from './board.js';
import { type Encoded, encodeProgram, type RecordSource } from './encode/encode-program.js';
import { FixedGrids } from './lower/fixed-grids.js';
import { lower } from './lower/lower.js';
import { type Lowered, macsOf, type Operator, type Port } from './lower/operators.js';
import { channelGroups } from './passes/channel-groups.js';
import { channelValues, equalised } from './passes/equalise.js';
import type { FoldedChain } from './passes/fold-low-rank.js';
import { withNamedStates } from './passes/name-states.js';
import { prepare } from './passes/prepare.js';
import { roundedMeans } from './passes/rounded-means.js';
import { inSinglePrecision } from './passes/single-precision.js';
import type { MemoryPlan } from './plan/plan-memory.js';
import type { Schedule } from './plan/schedule.js';
import type { Calibration } from './quantise/calibration.js';
import {
  allTricks,
  generates,
  noTricks,
  type Planned,
  planWithTricks,
  type Tricks,
} from './tricks/choose.js';
import { atOpset } from './unsupported.js';

export interface CompileOptions {
  readonly board: CompilerBoard;
  /** Needed for real weights; without it a program of pool weights takes made-up ranges. */
  readonly calibration?: Calibration;
  /** `pool`: weights come from the board's pool, for latency alone. */
  readonly weights: 'real' | 'pool';
  /** What the planner may do, each part of which can be switched off; outputs are the same bit for bit. */
  readonly tricks?: Partial<Tricks> | 'all' | 'none';
  /**
   * `fit` (default): no more tricks than the board needs; `smallest`: the smallest arena there is. Either way weights that a
   * seed gives are generated, unless `tricks` says otherwise or only without does the arena fit.
   */
  readonly goal?: 'fit' | 'smallest';
  readonly lowRank?: 'cost' | 'always' | 'never';
}

export interface CompiledNetwork {
  readonly program: Uint8Array;
  /** What is written before a run and read after it: the one port, or the bytes of all of them. */
  readonly input: Port;
  readonly output: Port;
  /** In the network's order; several lie one behind the other, each with its own quantisation. */
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly arenaBytes: number;
  /** Bytes that must be live at once in the schedule chosen: no plan is smaller. */
  readonly boundBytes: number;
  /** The program in flash as it would be deployed, real weights in it: header, records, constants. */
  readonly flashBytes: number;
  /** Constants that this program holds: without the weights where they come from the board's pool. */
  readonly constantsBytes: number;
  readonly poolBytes: number;
  /** Constants with real weights among them. */
  readonly deployedConstantsBytes: number;
  readonly macs: number;
  readonly weights: 'real' | 'pool';
  /** Where the arena is fullest, and with what. */
  readonly peak: MemoryPlan['peak'];
  readonly records: readonly RecordSource[];
  readonly topLevel: readonly number[];
  /** What the planner used, of what it was `allowed`. */
  readonly tricks: Tricks;
  readonly allowed: Tricks;
  /** Rows a block of tokens; 0 where none run in blocks. */
  readonly blockRows: number;
  readonly chains: readonly FoldedChain[];
  /** Values whose scales come from calibration; the network itself gives the others. */
  readonly calibrated: readonly string[];
  readonly schedule: Schedule;
  readonly plan: MemoryPlan;
  readonly board: CompilerBoard;
}

/**
 * Compiles a network for a board: float graph -> int8 program, with its memory plan. Sends nothing and needs no board.
 * Throws OPERATOR_UNSUPPORTED (the first operator that cannot be lowered), QUANTISATION_FAILED, SHAPE_UNKNOWN,
 * NETWORK_TOO_LARGE; a network larger than the board is answered, not refused: see `assertFits`.
 */
export async function compile(given: Graph, options: CompileOptions): Promise<CompiledNetwork> {
  const { board } = options;
  const network = withNamedStates(given);
  const wanted: Tricks =
    options.tricks === 'none'
      ? noTricks
      : options.tricks === 'all' || options.tricks === undefined
        ? allTricks
        : { ...allTricks, ...options.tricks };
  const prepared = atOpset(network.opset, () =>
    prepare(network, {
      cost: board.cost ?? linearCosts[board.weightLayout],
      lowRank: options.lowRank ?? 'cost',
      generates: wanted.generatedWeights,
    }),
  );
  const fixed = new FixedGrids(prepared);
  const values = atOpset(network.opset, () => fixed.unfixed());
  const isFixed = (value: string): boolean => atOpset(network.opset, () => fixed.of(value) !== undefined);
  // A network that brings all its scales needs no calibration.
  const { calibration } = options;
  const groups = calibration && channelGroups(prepared, isFixed);
  const ranges =
    calibration && values.length === 0
      ? new Map()
      : groups &&
        (await calibration(
          inSinglePrecision(network),
          values,
          channelValues(prepared, groups, isFixed, values),
        ));
  const equal =
    groups && ranges
      ? equalised(prepared, ranges, groups, values)
      : { prepared, ranges, factorsOf: () => undefined };
  const first = atOpset(network.opset, () => lower(equal.prepared, equal.ranges));
  const means =
    calibration && equal.ranges && (await roundedMeans(network, equal, first.held, isFixed, calibration));
  const lowered = means ? atOpset(network.opset, () => lower(equal.prepared, means)) : first;
  const { chosen, encoded, flashBytes } = planned(lowered, wanted, options);
  return {
    program: encoded.program,
    input: lowered.input,
    output: chosen.lowered.output,
    inputs: lowered.inputs,
    outputs: lowered.outputs,
    arenaBytes: chosen.plan.arenaBytes,
    boundBytes: chosen.plan.boundBytes,
    flashBytes,
    constantsBytes: encoded.constantsBytes,
    poolBytes: encoded.poolBytes,
    deployedConstantsBytes: encoded.deployedConstantsBytes,
    macs: lowered.operators.reduce((sum: number, operator: Operator) => sum + macsOf(operator), 0),
    weights: options.weights,
    peak: chosen.plan.peak,
    records: encoded.records,
    topLevel: encoded.topLevel,
    tricks: chosen.tricks,
    allowed: wanted,
    blockRows: chosen.blockRows,
    chains: prepared.chains,
    calibrated: values,
    schedule: chosen.schedule,
    plan: chosen.plan,
    board,
  };
}

interface Attempt {
  readonly chosen: Planned;
  readonly encoded: Encoded;
  readonly flashBytes: number;
}

/**
 * A plan and its bytes. Weights that a seed gives are generated where that is wanted, and stored after all where only then
 * the arena fits, if the flash holds them.
 */
function planned(
  lowered: Lowered,
  wanted: Tricks,
  { board, goal = 'fit', weights }: CompileOptions,
): Attempt {
  const attempt = (tricks: Tricks): Attempt => {
    const chosen = planWithTricks(lowered, board, tricks, goal);
    const encoded = encodeProgram(chosen.schedule, chosen.lowered, chosen.plan, {
      layout: board.weightLayout,
      poolBytes: weights === 'pool' ? board.poolBytes : undefined,
      fetched: chosen.fetched,
    });
    const constants = board.weightsAt === 'external' ? 0 : encoded.deployedConstantsBytes;
    return { chosen, encoded, flashBytes: encoded.program.length - encoded.constantsBytes + constants };
  };
  const first = attempt(wanted);
  const fits = (arenaBytes: number): boolean => arenaBytes <= board.arenaBytes;
  if (fits(first.chosen.plan.arenaBytes) || !wanted.generatedWeights || !generates(lowered, board))
    return first;
  const stored = attempt({ ...wanted, generatedWeights: false });
  return fits(stored.chosen.plan.arenaBytes) && stored.flashBytes <= board.flashBytes ? stored : first;
}

import {
  type Calibration,
  type CompiledNetwork,
  compile,
  type Tricks,
} from '../../../firmware-bridge/compiler/index.js';
import type { Hello, Slot } from '../../../firmware-bridge/link/index.js';
import { HildaError } from '../../core/errors.js';
import type { Graph } from '../../network/graph.js';
import type { BoardProfile } from './board-profile.js';

export interface BoardProgram {
  readonly compiled: CompiledNetwork;
  /** Where the program goes for a run: RAM where it fits beside its arena, else the flash. */
  readonly slot: Exclude<Slot, 'deployed'>;
}

/** Bytes of work memory that are no arena: ticks of the operators, and the program when it is uploaded to RAM. */
const overheadBytes = (operators: number, programBytes: number): number =>
  4 * operators + Math.ceil(programBytes / 16) * 16 + 16;

/** Kept for the stack within a RAM limit: 1.3 KB is the deepest that any network reached on any core. */
const stackBytes = 1536;

/** A program of so many records fits no flash; compiling goes over all of them on the daemon's own thread. */
const maxNodes = 10_000;

/** Functions of one value in a row become one, which calls them one within the other. */
const isTooDeep = (thrown: unknown): boolean =>
  thrown instanceof RangeError && thrown.message.includes('call stack');

const layouts = ['rows', 'scalar', 'dsp', 'mve'] as const;

/** The largest arena that a board gives to a network it keeps in flash. */
export const arenaLimit = (profile: BoardProfile, board: Pick<Hello, 'workBytes'>): number =>
  Math.min(profile.arenaBytes ?? Number.POSITIVE_INFINITY, board.workBytes);

/**
 * Compiles a network for a board. Throws what `compile` throws, and NETWORK_TOO_LARGE, and DEVICE_OUT_OF_MEMORY with the
 * operator at the peak when the network does not fit: nothing is sent then.
 */
export async function compileForBoard(
  network: Graph,
  profile: BoardProfile,
  board: Hello,
  {
    ramBytes = Number.POSITIVE_INFINITY,
    ...options
  }: {
    readonly weights: 'real' | 'pool';
    readonly calibration?: Calibration;
    /** Arena and stack that the plan should stay within, where it can. */
    readonly ramBytes?: number;
    /** What the planner may do; by default all of it. */
    readonly tricks?: Partial<Tricks>;
  },
): Promise<BoardProgram> {
  const limit = arenaLimit(profile, board);
  const flashBytes = Math.min(board.slotBytes, profile.flashBytes);
  if (network.nodes.length > maxNodes)
    throw new HildaError(
      'NETWORK_TOO_LARGE',
      `operators: ${network.nodes.length}, at most ${maxNodes} allowed on a board`,
      { details: { is: network.nodes.length, max: maxNodes } },
    );
  const compiled = await compile(network, {
    board: {
      weightLayout: layouts[board.nativeLayout] ?? profile.weightLayout,
      // The ticks of a thousand operators are kept free: how many there are is not known yet.
      arenaBytes: Math.max(0, Math.min(limit - 4096, ramBytes - stackBytes)),
      flashBytes,
      weightsAt: profile.weightsAt,
      poolBytes: board.poolBytes,
      fetchesInput: true,
    },
    ...options,
  }).catch((thrown: unknown) => {
    throw isTooDeep(thrown)
      ? new HildaError('NETWORK_TOO_LARGE', 'more operators follow one another than the compiler can join', {
          cause: thrown,
        })
      : thrown;
  });
  const { arenaBytes, peak, program, records } = compiled;
  // As deployed: weights that a latency run draws from the pool count as if they were real.
  const flashNeeded = Math.max(compiled.flashBytes, program.length);
  if (flashNeeded > flashBytes) {
    throw new HildaError(
      'DEVICE_OUT_OF_MEMORY',
      `the program takes ${flashNeeded} bytes of flash, ${profile.label} has ${flashBytes}`,
      { details: { flashBytes: flashNeeded, limitBytes: flashBytes } },
    );
  }
  const missingBytes = arenaBytes + overheadBytes(records.length, 0) - limit;
  if (missingBytes > 0) {
    throw new HildaError(
      'DEVICE_OUT_OF_MEMORY',
      `the network needs an arena of ${arenaBytes} bytes, ${profile.label} has ${limit - overheadBytes(records.length, 0)}`,
      {
        hint: `${missingBytes} fewer bytes live at ${peak.operator} would fit: make the tensors there smaller.`,
        details: { arenaBytes, limitBytes: limit, missingBytes, peak },
      },
    );
  }
  const inRam = arenaBytes + overheadBytes(records.length, program.length) <= board.workBytes;
  return { compiled, slot: inRam ? 'ram' : 'staged' };
}

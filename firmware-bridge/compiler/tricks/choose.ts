import type { CompilerBoard } from '../board.js';
import type { Lowered } from '../lower/operators.js';
import { joinedStorages, writeIntoSlices } from '../plan/direct-concat.js';
import { shareInPlace } from '../plan/in-place.js';
import { type MemoryPlan, planMemory } from '../plan/plan-memory.js';
import { perBatch, type Schedule, type Step, soloTask, type Task } from '../plan/schedule.js';
import { isGroup, type Plot } from './flow.js';
import { walkImageRows } from './image-rows.js';
import { walkRowBlocks } from './row-blocks.js';
import { cutToTiles } from './weight-tiles.js';

/** MCUFormer's operator library (Liang et al., NeurIPS 2023, section 3.3), as what the planner may do. */
export interface Tricks {
  /** Chains of operators run block by block of tokens or line by line of pixels: their intermediates hold a block each. */
  readonly integration: boolean;
  /** The input is taken in as the first windowed operator needs it, one row of patches at a time. */
  readonly patchRows: boolean;
  /** Results are written over input already consumed. */
  readonly overwriting: boolean;
  /** Attention runs in blocks of query rows: scores are never held whole. */
  readonly rowBlocks: boolean;
}

export const allTricks: Tricks = { integration: true, patchRows: true, overwriting: true, rowBlocks: true };
export const noTricks: Tricks = {
  integration: false,
  patchRows: false,
  overwriting: false,
  rowBlocks: false,
};

export interface Planned {
  readonly lowered: Lowered;
  readonly schedule: Schedule;
  readonly plan: MemoryPlan;
  /** What was used of what was allowed. */
  readonly tricks: Tricks;
  /** Rows a block of tokens; 0 without blocks. */
  readonly blockRows: number;
  readonly fetched: boolean;
}

/** Block heights, dearest in memory first: kernels share weights among the rows of a block. */
const blockHeights = [32, 16, 8, 4];
const defaultTileBytes = 16 * 1024;

/**
 * Plans a network with as few of the wanted tricks as let it fit the board (`fit`), or with those that give the smallest
 * arena (`smallest`). Overwriting costs no time and is used whenever wanted.
 */
export function planWithTricks(
  lowered: Lowered,
  board: CompilerBoard,
  wanted: Tricks,
  goal: 'fit' | 'smallest',
): Planned {
  const tried = new Map<string, Planned>();
  const plan = (tricks: Tricks, blockRows: number): Planned => {
    const key = `${JSON.stringify(tricks)} ${blockRows}`;
    const known = tried.get(key) ?? planJoined(lowered, board, tricks, blockRows);
    tried.set(key, known);
    return known;
  };
  const { overwriting } = wanted;
  const candidates: (() => Planned)[] = [
    () => plan({ ...noTricks, overwriting }, 0),
    () => plan({ ...noTricks, overwriting, patchRows: wanted.patchRows }, 0),
    ...blockHeights.map((height) => () => plan(wanted, height)),
  ];
  let smallest: Planned | undefined;
  for (const candidate of candidates) {
    const made = candidate();
    if (goal === 'fit' && made.plan.arenaBytes <= board.arenaBytes) return made;
    // A smaller block must save something worth its time.
    if (!smallest || made.plan.arenaBytes < 0.99 * smallest.plan.arenaBytes) smallest = made;
  }
  return smallest as Planned;
}

/** So many joined values are tried one by one; more of them are joined in place all or none. */
const mostJoined = 8;

/**
 * Joined values in place, which saves their copies, but for those whose longer life would cost memory. Part of overwriting:
 * a value written where others lie.
 */
function planJoined(lowered: Lowered, board: CompilerBoard, tricks: Tricks, blockRows: number): Planned {
  let best = planOnce(lowered, board, tricks, blockRows);
  const joined = tricks.overwriting ? joinedStorages(lowered) : [];
  let kept: readonly number[] = [];
  const attempt = (results: readonly number[]): boolean => {
    const direct = writeIntoSlices(lowered, new Set(results));
    if (direct === lowered) return false;
    const planned = planOnce(direct, board, tricks, blockRows);
    if (planned.plan.arenaBytes > best.plan.arenaBytes) return false;
    [best, kept] = [planned, results];
    return true;
  };
  if (joined.length === 0 || attempt(joined) || joined.length > mostJoined) return best;
  for (const result of joined) attempt([...kept, result]);
  return best;
}

function planOnce(lowered: Lowered, board: CompilerBoard, tricks: Tricks, blockRows: number): Planned {
  const storages = new Map(lowered.storages.map((storage) => [storage.id, storage]));
  const inPlaceOfFlash = board.weightsAt !== 'flash';
  let plot: Plot = {
    storages,
    items: lowered.operators,
    input: lowered.input.view.storage,
    output: lowered.output.view.storage,
  };
  if (inPlaceOfFlash) plot = cutToTiles(plot, board.tileBytes ?? defaultTileBytes);
  plot = walkImageRows(plot, {
    // Weights copied to a tile once a line would cost more than they save.
    integrate: tricks.integration && !inPlaceOfFlash,
    fetchInput: tricks.patchRows && board.fetchesInput && lowered.inputs.length === 1,
  });
  plot = walkRowBlocks(plot, { blockRows, integrate: tricks.integration, attention: tricks.rowBlocks });
  const steps = plot.items.flatMap((item): Step[] =>
    isGroup(item) ? [item] : perBatch(item).map((operator) => ({ kind: 'single', task: soloTask(operator) })),
  );
  const ends = { input: plot.input, output: plot.output };
  const shared = shareInPlace({ storages, steps }, ends);
  const output = { ...lowered.output, view: { ...lowered.output.view, storage: shared.output } };
  const plan = planMemory(shared.schedule, {
    layout: board.weightLayout,
    overwrite: tricks.overwriting,
    input: ends.input,
    output: shared.output,
    needsTile: (task) => inPlaceOfFlash && hasWeights(task),
  });
  const fetched = !plan.offsets.has(ends.input);
  return { lowered: { ...lowered, output }, schedule: shared.schedule, plan, tricks, blockRows, fetched };
}

const hasWeights = ({ operator: { body } }: Task): boolean =>
  body.kind === 'linear' || body.kind === 'conv' || body.kind === 'depthwise';

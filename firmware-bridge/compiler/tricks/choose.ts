import type { CompilerBoard } from '../board.js';
import type { Lowered } from '../lower/operators.js';
import { joinedStorages, writeIntoSlices } from '../plan/direct-concat.js';
import { shareInPlace } from '../plan/in-place.js';
import { type MemoryPlan, planMemory } from '../plan/plan-memory.js';
import { perBatch, type Schedule, type Step, soloTask, type Task } from '../plan/schedule.js';
import { groupLoops, isGroup, type Plot } from './flow.js';
import { generateWeights, savesFlash } from './generate-weights.js';
import { walkImageRows } from './image-rows.js';
import { walkRowBlocks } from './row-blocks.js';
import { cutToTiles } from './weight-tiles.js';

/** What the planner may do: MCUFormer's operator library (Liang et al., NeurIPS 2023, section 3.3), and generated weights. */
export interface Tricks {
  /** Chains of operators run block by block of tokens or line by line of pixels: their intermediates hold a block each. */
  readonly integration: boolean;
  /** The input is taken in as the first windowed operator needs it, one row of patches at a time. */
  readonly patchRows: boolean;
  /** Results are written over input already consumed. */
  readonly overwriting: boolean;
  /** Attention runs in blocks of query rows: scores are never held whole. */
  readonly rowBlocks: boolean;
  /** Weights that a seed gives are generated tile by tile: they take no flash, but a tile of arena, and time. */
  readonly generatedWeights: boolean;
}

export const allTricks: Tricks = {
  integration: true,
  patchRows: true,
  overwriting: true,
  rowBlocks: true,
  generatedWeights: true,
};
export const noTricks: Tricks = {
  integration: false,
  patchRows: false,
  overwriting: false,
  rowBlocks: false,
  generatedWeights: false,
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
/** Channels a generated tile, dearest in memory first: each tile costs another reading of the rows. */
const generatedOutputs = [16, 8, 4];
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
  const plan = (tricks: Tricks, sizes: Sizes): Planned => {
    const key = JSON.stringify([tricks, sizes]);
    const known = tried.get(key) ?? planJoined(lowered, board, tricks, sizes);
    tried.set(key, known);
    return known;
  };
  const { overwriting } = wanted;
  const generatedWeights = wanted.generatedWeights && generates(lowered, board);
  const tiles = generatedWeights ? generatedOutputs : [0];
  const least: Tricks = { ...noTricks, overwriting, generatedWeights };
  const most: Tricks = { ...wanted, generatedWeights };
  const candidates: readonly (readonly [Tricks, number])[] = [
    [least, 0],
    [{ ...least, patchRows: wanted.patchRows }, 0],
    ...blockHeights.map((height) => [most, height] as const),
  ];
  let smallest: Planned | undefined;
  for (const [tricks, blockRows, tileOutputs] of candidates.flatMap((candidate) =>
    tiles.map((tile) => [...candidate, tile] as const),
  )) {
    const made = plan(tricks, { blockRows, tileOutputs });
    if (goal === 'fit' && made.plan.arenaBytes <= board.arenaBytes) return made;
    // A smaller block must save something worth its time.
    if (!smallest || made.plan.arenaBytes < 0.99 * smallest.plan.arenaBytes) smallest = made;
  }
  return smallest as Planned;
}

/** Whether a board would generate any of a network's weights. */
export const generates = (lowered: Lowered, board: CompilerBoard): boolean =>
  lowered.operators.some((operator) => savesFlash(operator, board.weightLayout));

/** Rows a block of tokens, channels a generated tile; 0: none. */
interface Sizes {
  readonly blockRows: number;
  readonly tileOutputs: number;
}

/** So many joined values are tried one by one; more of them are joined in place all or none. */
const mostJoined = 8;

/**
 * Joined values in place, which saves their copies, but for those whose longer life would cost memory. Part of overwriting:
 * a value written where others lie.
 */
function planJoined(lowered: Lowered, board: CompilerBoard, tricks: Tricks, sizes: Sizes): Planned {
  let best = planOnce(lowered, board, tricks, sizes);
  const joined = tricks.overwriting ? joinedStorages(lowered) : [];
  let kept: readonly number[] = [];
  const attempt = (results: readonly number[]): boolean => {
    const direct = writeIntoSlices(lowered, new Set(results));
    if (direct === lowered) return false;
    const planned = planOnce(direct, board, tricks, sizes);
    if (planned.plan.arenaBytes > best.plan.arenaBytes) return false;
    [best, kept] = [planned, results];
    return true;
  };
  if (joined.length === 0 || attempt(joined) || joined.length > mostJoined) return best;
  for (const result of joined) attempt([...kept, result]);
  return best;
}

function planOnce(
  lowered: Lowered,
  board: CompilerBoard,
  tricks: Tricks,
  { blockRows, tileOutputs }: Sizes,
): Planned {
  const storages = new Map(lowered.storages.map((storage) => [storage.id, storage]));
  const inPlaceOfFlash = board.weightsAt !== 'flash';
  let plot: Plot = {
    storages,
    items: groupLoops(lowered.operators),
    input: lowered.input.view.storage,
    output: lowered.output.view.storage,
  };
  if (tricks.generatedWeights) plot = generateWeights(plot, board.weightLayout, tileOutputs);
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

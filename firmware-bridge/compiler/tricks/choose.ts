import type { CompilerBoard } from '../board.js';
import type { Lowered } from '../lower/operators.js';
import { shareInPlace } from '../plan/in-place.js';
import { type MemoryPlan, planMemory } from '../plan/plan-memory.js';
import { perBatch, type Schedule, soloTask, type Step } from '../plan/schedule.js';

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
export const noTricks: Tricks = { integration: false, patchRows: false, overwriting: false, rowBlocks: false };

export interface Planned {
  readonly lowered: Lowered;
  readonly schedule: Schedule;
  readonly plan: MemoryPlan;
  readonly tricks: Tricks;
  readonly fetched: boolean;
}

export function planWithTricks(
  lowered: Lowered,
  board: CompilerBoard,
  wanted: Tricks,
  _goal: 'fit' | 'smallest',
): Planned {
  return planOnce(lowered, board, wanted);
}

function planOnce(lowered: Lowered, board: CompilerBoard, tricks: Tricks): Planned {
  const steps: Step[] = lowered.operators
    .flatMap(perBatch)
    .map((operator) => ({ kind: 'single', task: soloTask(operator) }));
  const storages = new Map(lowered.storages.map((storage) => [storage.id, storage]));
  const ends = { input: lowered.input.view.storage, output: lowered.output.view.storage };
  const shared = shareInPlace({ storages, steps }, ends);
  const output = { ...lowered.output, view: { ...lowered.output.view, storage: shared.output } };
  const plan = planMemory(shared.schedule, {
    layout: board.weightLayout,
    overwrite: tricks.overwriting,
    input: ends.input,
    output: shared.output,
    needsTile: () => false,
  });
  return { lowered: { ...lowered, output }, schedule: shared.schedule, plan, tricks, fetched: false };
}

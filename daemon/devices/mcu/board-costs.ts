import type { BoardSession } from '../../../firmware-bridge/link/index.js';
import type { Counts, OperatorCount } from '../../core/measurement.js';
import type { BoardProgram } from './board-program.js';
import { type BoardRun, loadProgram, type RunBounds } from './board-runs.js';

/** Two paints: a byte that a network itself sets to one of them cannot hide behind the other. */
export const paints = [0xa5, 0x5a] as const;

export interface CountOptions extends RunBounds {
  readonly unit: Counts['unit'];
  readonly onRun?: ((done: number, of: number) => void) | undefined;
}

export interface BoardCosts {
  readonly counts: Counts;
  /** Null when the runs agree; otherwise in what they differ. */
  readonly disagreement: string | null;
  readonly runs: readonly BoardRun[];
}

/**
 * Counts of an emulated board: uploads a program and runs it once for each paint, from the same input. Both runs must
 * agree to the last tick.
 */
export async function takeCosts(
  session: BoardSession,
  program: BoardProgram,
  { onRun, unit, ...bounds }: CountOptions,
): Promise<BoardCosts> {
  const runOnce = await loadProgram(session, program, bounds);
  const runs: BoardRun[] = [];
  for (const paint of paints) {
    onRun?.(runs.length, paints.length);
    runs.push(await runOnce(paint));
  }
  onRun?.(runs.length, paints.length);
  const [first] = runs as [BoardRun, BoardRun];
  const operators = namedOperators(program, (i) => ({ count: first.operators[i] ?? 0 }));
  const counts = countsOf(session, program, { runs, unit, operators, total: first.total });
  return { counts, disagreement: countsDiffer(runs) ?? contradiction(runs, program), runs };
}

export const namedOperators = (
  { compiled }: BoardProgram,
  figures: (i: number) => Pick<OperatorCount, 'count' | 'countCi'>,
): OperatorCount[] =>
  compiled.topLevel.map((record, i) => ({
    name: compiled.records[record]?.name ?? `operator ${record}`,
    op: compiled.records[record]?.kind ?? 'unknown',
    ...figures(i),
  }));

/** What a measurement keeps of a board's counts. The peaks are the highest of all runs that were painted. */
export function countsOf(
  session: BoardSession,
  { compiled }: BoardProgram,
  {
    runs,
    ...figures
  }: Pick<Counts, 'unit' | 'operators' | 'total' | 'totalCi'> & { readonly runs: readonly BoardRun[] },
): Counts {
  const arenaPeakBytes = Math.max(...runs.map(({ report }) => report.arenaPeakBytes));
  const stackPeakBytes = Math.max(...runs.map(({ report }) => report.stackPeakBytes));
  return {
    ...figures,
    arenaPeakBytes,
    arenaPlannedBytes: compiled.arenaBytes,
    stackPeakBytes,
    peakRamBytes: arenaPeakBytes + stackPeakBytes,
    flashBytes: compiled.flashBytes,
    weights: compiled.weights,
    firmwareBuild: session.board.buildHash,
  };
}

function countsDiffer(runs: readonly BoardRun[]): string | null {
  const [first = [], second = []] = runs.map(({ operators }) => operators);
  const operator = first.findIndex((ticks, i) => ticks !== second[i]);
  return operator < 0
    ? null
    : `operator ${operator} took ${first[operator]} ticks, then ${second[operator]}, in the same program`;
}

/** What no board may do, emulated or not: answer one input with two outputs, or use more than was planned. */
export function contradiction(runs: readonly BoardRun[], { compiled }: BoardProgram): string | null {
  const planned = compiled.arenaBytes;
  if (new Set(runs.map(({ report }) => report.outputCrc)).size > 1) return 'the same input gave two outputs';
  const peak = Math.max(...runs.map(({ report }) => report.arenaPeakBytes));
  if (peak > planned) return `the arena was used up to byte ${peak}, ${planned} were planned`;
  return null;
}

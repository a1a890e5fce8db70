import type { BoardSession, RunReport } from '../../../firmware-bridge/link/index.js';
import type { Counts } from '../../core/measurement.js';
import type { BoardProgram } from './board-program.js';
import { portBytes } from './port-elements.js';

/** Two paints: a byte that a network itself sets to one of them cannot hide behind the other. */
const paints = [0xa5, 0x5a] as const;
const inputSeed = 1;

export interface CountOptions {
  readonly signal: AbortSignal;
  /** The board's own limit for one inference, and how long its answer is waited for. */
  readonly limitMs: number;
  readonly timeoutMs: number;
  readonly unit: Counts['unit'];
  readonly onRun?: ((done: number, of: number) => void) | undefined;
}

export interface BoardCosts {
  readonly counts: Counts;
  /** Null when the runs agree; otherwise in what they differ. */
  readonly disagreement: string | null;
  readonly runs: readonly RunReport[];
}

/** Uploads a program and runs it once for each paint, from the same input. */
export async function takeCosts(
  session: BoardSession,
  { compiled, slot }: BoardProgram,
  options: CountOptions,
): Promise<BoardCosts> {
  const { signal, limitMs, timeoutMs, unit, onRun } = options;
  if (compiled.weights === 'pool') await session.preparePool({ signal });
  const facts = await session.upload(slot, compiled.program, { signal });
  const runs: RunReport[] = [];
  const ticks: number[][] = [];
  for (const paint of paints) {
    signal.throwIfAborted();
    onRun?.(runs.length, paints.length);
    signal.throwIfAborted();
    if (facts.inputOffset !== null)
      await session.fill(facts.inputOffset, facts.inputBytes, inputSeed, { signal });
    // Zero is a valid index into any table; what a seed gives is none.
    if (facts.inputOffset !== null)
      for (const { offset, bytes } of wholeInputs(compiled))
        await session.write(facts.inputOffset + offset, new Uint8Array(bytes), { signal });
    runs.push(await session.run({ slot, paint, limitMs, timeoutMs, signal }));
    ticks.push(await session.ticks(facts.operators, { signal }));
  }
  onRun?.(runs.length, paints.length);
  const [first = [], second = []] = ticks.map((all) => compiled.topLevel.map((index) => all[index] ?? 0));
  const operators = compiled.topLevel.map((record, i) => ({
    name: compiled.records[record]?.name ?? `operator ${record}`,
    op: compiled.records[record]?.kind ?? 'unknown',
    count: first[i] ?? 0,
  }));
  const arenaPeakBytes = Math.max(...runs.map((run) => run.arenaPeakBytes));
  const stackPeakBytes = Math.max(...runs.map((run) => run.stackPeakBytes));
  return {
    counts: {
      unit,
      total: operators.reduce((sum, { count }) => sum + count, 0),
      operators,
      arenaPeakBytes,
      arenaPlannedBytes: compiled.arenaBytes,
      stackPeakBytes,
      peakRamBytes: arenaPeakBytes + stackPeakBytes,
      flashBytes: compiled.flashBytes,
      weights: compiled.weights,
      firmwareBuild: session.board.buildHash,
    },
    disagreement: difference(runs, first, second, arenaPeakBytes, compiled.arenaBytes),
    runs,
  };
}

/** Where inputs of whole numbers lie among the bytes of all inputs. */
const wholeInputs = ({ inputs }: BoardProgram['compiled']): { offset: number; bytes: number }[] =>
  inputs
    .filter(({ elementBytes }) => elementBytes === 4)
    .map((port) => ({ offset: inputs.length > 1 ? port.view.offset : 0, bytes: portBytes(port) }));

function difference(
  [a, b]: readonly RunReport[],
  first: readonly number[],
  second: readonly number[],
  peak: number,
  planned: number,
): string | null {
  const operator = first.findIndex((ticks, i) => ticks !== second[i]);
  if (operator >= 0)
    return `operator ${operator} took ${first[operator]} ticks, then ${second[operator]}, in the same program`;
  if (a?.outputCrc !== b?.outputCrc) return 'the same input gave two outputs';
  if (peak > planned) return `the arena was used up to byte ${peak}, ${planned} were planned`;
  return null;
}

import type { BoardSession, RunReport } from '../../../firmware-bridge/link/index.js';
import type { BoardProgram } from './board-program.js';
import { portBytes } from './port-elements.js';

const inputSeed = 1;

export interface RunBounds {
  readonly signal: AbortSignal;
  /** The board's own limit for one inference, and how long its answer is waited for. */
  readonly limitMs: number;
  readonly timeoutMs: number;
}

/** One inference. */
export interface BoardRun {
  readonly report: RunReport;
  /** Ticks of each top-level operator, and their sum. */
  readonly operators: readonly number[];
  readonly total: number;
}

/** Runs the uploaded program once, from the same input each time; painted where the peaks are asked for. */
export type RunOnce = (paint?: number) => Promise<BoardRun>;

/** Uploads a program; it can then be run until another one is uploaded. */
export async function loadProgram(
  session: BoardSession,
  { compiled, slot }: BoardProgram,
  { signal, limitMs, timeoutMs }: RunBounds,
): Promise<RunOnce> {
  if (compiled.weights === 'pool') await session.preparePool({ signal });
  const facts = await session.upload(slot, compiled.program, { signal });
  return async (paint) => {
    signal.throwIfAborted();
    if (facts.inputOffset !== null) {
      await session.fill(facts.inputOffset, facts.inputBytes, inputSeed, { signal });
      // Zero is a valid index into any table; what a seed gives is none.
      for (const { offset, bytes } of wholeInputs(compiled))
        await session.write(facts.inputOffset + offset, new Uint8Array(bytes), { signal });
    }
    const report = await session.run({
      slot,
      ...(paint !== undefined && { paint }),
      limitMs,
      timeoutMs,
      signal,
    });
    const ticks = await session.ticks(facts.operators, { signal });
    const operators = compiled.topLevel.map((index) => ticks[index] ?? 0);
    return { report, operators, total: operators.reduce((sum, count) => sum + count, 0) };
  };
}

/** Where inputs of whole numbers lie among the bytes of all inputs. */
const wholeInputs = ({ inputs }: BoardProgram['compiled']): { offset: number; bytes: number }[] =>
  inputs
    .filter(({ elementBytes }) => elementBytes === 4)
    .map((port) => ({ offset: inputs.length > 1 ? port.view.offset : 0, bytes: portBytes(port) }));

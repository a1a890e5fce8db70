import { HildaError } from '../../daemon/core/errors.js';
import { sendInput } from './board-memory.js';
import { type Hello, kinds, pack, parseRunReport, type RunReport, type Slot, slots } from './messages.js';
import type { PatientLine } from './patient-line.js';
import { NoReplyError } from './request-line.js';

export interface RunOptions {
  readonly signal: AbortSignal;
  readonly slot: Slot;
  /** Fills arena and stack with this byte first and reports how far they were used. */
  readonly paint?: number;
  /** The network's input, when the program fetches it in slices; absent: slices of the pool. */
  readonly input?: Uint8Array | undefined;
  /** The board gives up by itself after this much of its own time. */
  readonly limitMs: number;
  /** How long to wait for the board's answer. */
  readonly timeoutMs: number;
}

/** Answers a board that wants `bytes` bytes of its input from `offset` on. */
export type Feed = (offset: number, bytes: number) => void;

const flags = { paint: 1, poolInput: 2 } as const;

/**
 * Runs a program that was uploaded. An abort cancels it on the board. `onFeed` is told who answers the board's wishes for
 * input. Throws DEVICE_TIMEOUT where no answer came in time, and what the board's refusal means.
 */
export async function runProgram(
  requests: PatientLine,
  board: Pick<Hello, 'poolSeed' | 'maxPayloadBytes'>,
  { slot, paint, input, limitMs, timeoutMs, signal }: RunOptions,
  onFeed: (feed: Feed) => void,
): Promise<RunReport> {
  signal.throwIfAborted();
  const bits = (paint === undefined ? 0 : flags.paint) | (input ? 0 : flags.poolInput);
  const needsPool = bits & flags.poolInput && board.poolSeed === 0 ? bits & ~flags.poolInput : bits;
  const payload = pack([slots[slot], 8], [needsPool, 8], [paint ?? 0, 8], [0, 8], [limitMs, 32]);
  const cancel = (): void => void requests.line.request(kinds.cancel, pack()).catch(() => {});
  signal.addEventListener('abort', cancel, { once: true });
  let wants = 0;
  onFeed((offset, bytes) => {
    const want = ++wants;
    const slice = (input ?? new Uint8Array(offset + bytes)).subarray(offset, offset + bytes);
    // What it is not told the board asks for again, and gives up after a while: that is the run's own error.
    const wanted = (): boolean => want === wants && !signal.aborted;
    sendInput(requests, board, { offset, slice, wanted }).catch(() => {});
  });
  try {
    // Not the signal: the board's own answer to the cancel is waited for, so that it is idle afterwards.
    return parseRunReport(
      await requests.line.request(kinds.run, payload, { timeoutMs: timeoutMs * requests.patience }),
    );
  } catch (thrown) {
    if (signal.aborted) throw signal.reason ?? thrown;
    if (thrown instanceof NoReplyError) {
      throw new HildaError('DEVICE_TIMEOUT', `the board did not finish the network within ${timeoutMs} ms`, {
        cause: thrown,
        details: { unanswered: true },
      });
    }
    throw requests.explain(thrown);
  } finally {
    signal.removeEventListener('abort', cancel);
    wants++;
  }
}

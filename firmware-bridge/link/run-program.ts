import { HildaError } from '../../daemon/core/errors.js';
import { sendInput } from './board-memory.js';
import { type Hello, kinds, pack, parseRunReport, type RunReport, type Slot, slots } from './messages.js';
import type { PatientLine } from './patient-line.js';
import { gotLost, NoReplyError, RefusedError } from './request-line.js';
import { type Found, watchRun } from './run-watch.js';
import { stopOnAbort } from './stop-request.js';

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

export interface RunHooks {
  /** Is told who answers the board's wishes for input. */
  readonly onFeed: (feed: Feed) => void;
  /** Hears that an abort was not confirmed: the board may still run. */
  readonly onLeft: () => void;
}

const flags = { paint: 1, poolInput: 2 } as const;
const mostSliceBytes = 16 * 2 ** 20;
/** How often a run is asked for whose request got lost. */
const mostStarts = 5;

/**
 * Runs a program that was uploaded. A reply that got lost is asked for, a request that got lost is sent again. An abort
 * cancels the run on the board and returns within a second. Throws DEVICE_TIMEOUT where no answer came in time, DEVICE_FAILED
 * where the board fell silent, and what its refusal means.
 */
export async function runProgram(
  requests: PatientLine,
  board: Pick<Hello, 'poolSeed' | 'maxPayloadBytes' | 'linkVersion'>,
  { slot, paint, input, limitMs, timeoutMs, signal }: RunOptions,
  { onFeed, onLeft }: RunHooks,
): Promise<RunReport> {
  signal.throwIfAborted();
  const bits = (paint === undefined ? 0 : flags.paint) | (input ? 0 : flags.poolInput);
  const needsPool = bits & flags.poolInput && board.poolSeed === 0 ? bits & ~flags.poolInput : bits;
  const payload = pack([slots[slot], 8], [needsPool, 8], [paint ?? 0, 8], [0, 8], [limitMs, 32]);
  let wants = 0;
  onFeed((offset, bytes) => {
    const want = ++wants;
    // No board has room for more.
    if (bytes > mostSliceBytes) return;
    const slice = input?.subarray(offset, offset + bytes) ?? new Uint8Array(bytes);
    // What it is not told the board asks for again, and gives up after a while: that is the run's own error.
    const wanted = (): boolean => want === wants && !signal.aborted;
    sendInput(requests, board, { offset, slice, wanted }).catch(() => {});
  });
  try {
    const run = runToItsEnd(requests, payload, {
      keepsReport: board.linkVersion >= 2,
      timeoutMs: timeoutMs * requests.patience,
      signal,
    });
    return await stopOnAbort(requests, { signal, onLeft }, run);
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
    wants++;
  }
}

/** Asks for the run until the board has answered it, although frames get lost. */
async function runToItsEnd(
  requests: PatientLine,
  payload: Uint8Array,
  {
    keepsReport,
    timeoutMs,
    signal,
  }: { readonly keepsReport: boolean; readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<RunReport> {
  const startUs = requests.clock.monotonicUs();
  const asked = new Set<number>();
  for (let start = 1; ; ) {
    signal.throwIfAborted();
    const answered = new AbortController();
    const reply = requests.line.request(kinds.run, payload, {
      timeoutMs: timeoutMs - (requests.clock.monotonicUs() - startUs) / 1000,
      signal: answered.signal,
      onSent: (request) => void asked.add(request),
    });
    try {
      const watch: Promise<Found> = watchRun(requests, { keepsReport, signal: answered.signal });
      watch.catch(() => {});
      const first = await Promise.race([reply, watch]);
      if (first instanceof Uint8Array) return parseRunReport(first);
      if ('fault' in first) throw first.fault;
      const { last } = first;
      if (last && asked.has(last.request)) {
        if (last.refused) throw new RefusedError(kinds.run, last.refused);
        return last.report;
      }
      // Firmware that keeps no report may have run it, and a second run would find the first one's leavings as its input.
      if (!keepsReport || start++ === mostStarts) throw replyLost();
    } catch (thrown) {
      const overtaken = thrown instanceof RefusedError && gotLost(thrown);
      if (!overtaken && !requests.isBusy(thrown, startUs)) throw thrown;
      await requests.clock.sleep(lookPauseMs);
    } finally {
      answered.abort();
      reply.catch(() => {});
    }
  }
}

const lookPauseMs = 100;

const replyLost = (): HildaError =>
  new HildaError('DEVICE_FAILED', 'the answer of the run was lost on the line, and the board keeps none', {
    hint: 'Flash the board again: `hilda devices flash` has firmware that keeps it. Look at the cable as well.',
  });

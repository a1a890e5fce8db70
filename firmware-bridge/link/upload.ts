import { crc32 } from 'node:zlib';
import { HildaError } from '../../daemon/core/errors.js';
import { kinds, pack, type Slot, slots, viewOf } from './messages.js';
import { NoReplyError, RefusedError, type RequestLine } from './request-line.js';

export interface UploadOptions {
  readonly signal: AbortSignal;
  /** Bytes of program in one frame; at most the board's payload less the offset's 4 bytes. */
  readonly chunkBytes: number;
  /** How long one chunk may take to be acknowledged: the line's time for a window, and erasing flash. */
  readonly timeoutMs: number;
  readonly onProgress?: ((sentBytes: number) => void) | undefined;
}

/** Chunks in a row that get no answer before the board is given up. */
const mostFailures = 10;

/**
 * Sends `program` to a slot: as many chunks under way as the board's window holds, going back to what the board has
 * when one is lost (go-back-N). An upload that was broken off goes on where it stood: the board remembers it by length
 * and CRC-32.
 */
export async function upload(
  line: RequestLine,
  slot: Slot,
  program: Uint8Array,
  options: UploadOptions,
): Promise<void> {
  const { signal, timeoutMs, onProgress } = options;
  const begin = await line.request(
    kinds.begin,
    pack([slots[slot], 8], [0, 8], [0, 16], [program.length, 32], [crc32(program), 32]),
    { signal, timeoutMs },
  );
  let acknowledged = viewOf(begin).getUint32(0, true);
  const windowBytes = viewOf(begin).getUint32(4, true);
  const chunkBytes = Math.min(options.chunkBytes, windowBytes);
  const underWay = Math.max(1, Math.floor(windowBytes / chunkBytes));
  let failures = 0;
  while (acknowledged < program.length) {
    const before = acknowledged;
    const round = new SendAhead(line, program, {
      from: acknowledged,
      chunkBytes,
      underWay,
      signal,
      timeoutMs,
    });
    const fault = await round.run((received) => {
      acknowledged = Math.max(acknowledged, received);
      onProgress?.(acknowledged);
    });
    if (!fault) continue;
    if (fault instanceof RefusedError && fault.details.refusal === 'order') {
      acknowledged = Math.min(fault.details.detail, program.length);
    } else if (!(fault instanceof NoReplyError) && !(fault instanceof RefusedError && transient(fault))) {
      throw fault;
    }
    failures = acknowledged > before ? 0 : failures + 1;
    if (failures >= mostFailures) {
      throw new HildaError(
        'DEVICE_FAILED',
        `the upload stands still at byte ${acknowledged} of ${program.length}`,
        {
          cause: fault,
          hint: 'The line is too noisy: try a shorter cable or a lower baud rate.',
        },
      );
    }
  }
}

/** Frames that overtook each other on the line: asking again under a new id is the cure. */
const transient = ({ details }: RefusedError): boolean => details.refusal === 'replayed';

interface SendAheadOptions {
  readonly from: number;
  readonly chunkBytes: number;
  readonly underWay: number;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

/** Sends on until the end or the first fault, which it answers with once everything under way has settled. */
class SendAhead {
  readonly #pending = new Set<Promise<void>>();
  #fault: Error | undefined;

  constructor(
    readonly line: RequestLine,
    readonly program: Uint8Array,
    readonly options: SendAheadOptions,
  ) {}

  async run(onReceived: (received: number) => void): Promise<Error | undefined> {
    const { from, chunkBytes, underWay } = this.options;
    for (let offset = from; offset < this.program.length && !this.#fault; offset += chunkBytes) {
      const sent: Promise<void> = this.#send(offset, onReceived).then(() => void this.#pending.delete(sent));
      this.#pending.add(sent);
      if (this.#pending.size >= underWay) await Promise.race(this.#pending);
    }
    await Promise.all(this.#pending);
    return this.#fault;
  }

  async #send(offset: number, onReceived: (received: number) => void): Promise<void> {
    const { chunkBytes, signal, timeoutMs } = this.options;
    try {
      const chunk = this.program.subarray(offset, offset + chunkBytes);
      const answer = await this.line.request(kinds.data, pack([offset, 32], chunk), { signal, timeoutMs });
      onReceived(viewOf(answer).getUint32(0, true));
    } catch (thrown) {
      // The first fault speaks: the chunks behind a lost one are out of order by its fault.
      this.#fault ??= thrown as Error;
    }
  }
}

import { crc32 } from 'node:zlib';
import { HildaError } from '../../daemon/core/errors.js';
import { kinds, pack, type Slot, slots, viewOf } from './messages.js';
import type { PatientLine } from './patient-line.js';
import { gotLost, RefusedError } from './request-line.js';

export interface UploadOptions {
  readonly signal: AbortSignal;
  /** The board's bound on the program's bytes in one frame: its payload less the offset's 4 bytes. */
  readonly chunkBytes: number;
  /** How long one chunk may take to be acknowledged: the line's time for a window, and erasing flash. */
  readonly timeoutMs: number;
  readonly onProgress?: ((sentBytes: number) => void) | undefined;
}

/** Chunks in a row that get no answer before the board is given up: as many as it takes to come down to short ones, twice. */
const mostFailures = 12;
/** Frames under way, however short they are. */
const mostUnderWay = 16;

/**
 * Sends `program` to a slot: as many chunks under way as the board's window holds, going back to what the board has when
 * one is lost (go-back-N). Chunks become shorter with each loss, so that a noisy line still lets them through. An upload
 * that was broken off goes on where it stood: the board remembers it by length and CRC-32.
 */
export async function upload(
  requests: PatientLine,
  slot: Slot,
  program: Uint8Array,
  options: UploadOptions,
): Promise<void> {
  const { signal, timeoutMs, onProgress } = options;
  const begin = await requests.ask(
    kinds.begin,
    pack([slots[slot], 8], [0, 8], [0, 16], [program.length, 32], [crc32(program), 32]),
    { signal, timeoutMs, lasting: true },
  );
  let acknowledged = viewOf(begin).getUint32(0, true);
  const windowBytes = viewOf(begin).getUint32(4, true);
  if (windowBytes < 1) throw requests.nonsense('it takes no bytes of a program');
  let failures = 0;
  while (acknowledged < program.length) {
    const before = acknowledged;
    const chunkBytes = requests.up.within(Math.min(options.chunkBytes, windowBytes));
    const round = new SendAhead(requests, program, {
      from: acknowledged,
      chunkBytes,
      underWay: Math.min(mostUnderWay, Math.max(1, Math.floor(windowBytes / chunkBytes))),
      windowBytes,
      signal,
      timeoutMs,
    });
    const fault = await round.run((received) => {
      acknowledged = Math.max(acknowledged, received);
      onProgress?.(acknowledged);
    });
    if (!fault && acknowledged > before) {
      failures = 0;
      continue;
    }
    // Without a fault, all was answered and nothing was taken.
    if (fault instanceof RefusedError && fault.details.refusal === 'order') {
      acknowledged = Math.min(fault.details.detail, program.length);
    } else if (fault && !gotLost(fault)) {
      throw fault;
    }
    requests.up.lost(chunkBytes);
    failures = acknowledged > before ? 0 : failures + 1;
    if (failures >= mostFailures) {
      throw new HildaError(
        'DEVICE_FAILED',
        `the upload stands still at byte ${acknowledged} of ${program.length}`,
        {
          ...(fault && { cause: fault }),
          hint: 'The line is too noisy: try a shorter cable or a lower baud rate.',
        },
      );
    }
  }
}

interface SendAheadOptions {
  readonly from: number;
  readonly chunkBytes: number;
  readonly underWay: number;
  readonly windowBytes: number;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

/** Sends on until the end, the first fault, or a change of the chunks' size; answers with the fault once all has settled. */
class SendAhead {
  readonly #pending = new Set<Promise<void>>();
  readonly #over = new AbortController();
  #fault: Error | undefined;

  constructor(
    readonly requests: PatientLine,
    readonly program: Uint8Array,
    readonly options: SendAheadOptions,
  ) {}

  async run(onReceived: (received: number) => void): Promise<Error | undefined> {
    const { from, chunkBytes, underWay, windowBytes } = this.options;
    const { requests } = this;
    // Longer chunks are tried from the next round on.
    const grown = (): boolean => requests.up.within(Math.min(2 * chunkBytes, windowBytes)) > chunkBytes;
    const mayGrow = !grown();
    for (let offset = from; offset < this.program.length && !this.#fault; offset += chunkBytes) {
      if (mayGrow && grown()) break;
      const sent: Promise<void> = this.#send(offset, onReceived).then(() => void this.#pending.delete(sent));
      this.#pending.add(sent);
      if (this.#pending.size >= underWay) await Promise.race(this.#pending);
    }
    if (this.#fault instanceof RefusedError) this.#settleSoon();
    await Promise.all(this.#pending);
    this.#over.abort();
    return this.#fault;
  }

  /** The board has seen past what was lost: the answers that are still to come take no longer than the line. */
  #settleSoon(): void {
    const { requests, options } = this;
    const wait = requests.clock.sleep(requests.timeout(50, options.windowBytes), {
      signal: this.#over.signal,
    });
    wait.then(
      () => this.#over.abort(),
      () => {},
    );
  }

  async #send(offset: number, onReceived: (received: number) => void): Promise<void> {
    const { chunkBytes, signal, timeoutMs } = this.options;
    try {
      const chunk = this.program.subarray(offset, offset + chunkBytes);
      const answer = await this.requests.line.request(kinds.data, pack([offset, 32], chunk), {
        signal: AbortSignal.any([signal, this.#over.signal]),
        timeoutMs,
        lasting: true,
      });
      this.requests.up.came();
      onReceived(viewOf(answer).getUint32(0, true));
    } catch (thrown) {
      // The first fault speaks: the chunks behind a lost one are out of order by its fault.
      this.#fault ??= thrown as Error;
    }
  }
}

import type { Clock } from '../clock.js';
import { HildaError } from '../errors.js';
import { InFlight } from './in-flight.js';
import { type LineFacts, LineRate } from './line-rate.js';
import { type Acknowledgement, type BlobAnnouncement, encodePiece } from './pieces.js';
import { transferFault } from './transfer-limits.js';

export interface BulkSenderOptions {
  readonly clock: Clock;
  readonly announce: (blob: BlobAnnouncement) => void;
  readonly sendPiece: (frame: Uint8Array) => void;
  /** Who is at the other end, for messages. */
  readonly peer: string;
  /** Kept over the connections of one peer. */
  readonly rate?: LineRate;
  /** Hears of bytes that arrived. */
  readonly onProgress?: (bytes: number) => void;
}

interface Outgoing {
  readonly transfer: number;
  readonly blob: Uint8Array;
  readonly sha256: string;
  readonly startUs: number;
  /** When bytes of it were acknowledged last. */
  heardUs: number;
  /** Null until the receiver said what it has. */
  sent: number | null;
  acknowledged: number;
  /** What the receiver had of it before. */
  present: number;
  restarts: number;
  readonly settle: { resolve(): void; reject(error: HildaError): void };
}

/** Side by side, so that a small one is not kept waiting by a large one. */
const mostActive = 4;
const mostRestarts = 2;
const judgeEveryMs = 5000;

/**
 * Sends bulk over one connection in small pieces, as many as the line holds: any other message waits a fraction of a second
 * at most. Begins where the receiver says that its bytes of the same content end.
 */
export class BulkSender {
  readonly #options: BulkSenderOptions;
  readonly #rate: LineRate;
  #active: Outgoing[] = [];
  #waiting: Outgoing[] = [];
  readonly #inFlight = new InFlight();
  #nextTransfer = 1;
  #ended: HildaError | null = null;

  constructor(options: BulkSenderOptions) {
    this.#options = options;
    this.#rate = options.rate ?? new LineRate();
  }

  get facts(): LineFacts {
    return this.#rate.facts;
  }

  /**
   * Resolves when the receiver has every byte. Throws LINE_TOO_SLOW, what `close` was given, NETWORK_TOO_LARGE or another
   * code with which the receiver refused, or the signal's reason.
   */
  async deliver(
    blob: Uint8Array,
    sha256: string,
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    if (this.#ended) throw this.#ended;
    signal?.throwIfAborted();
    const nowUs = this.#options.clock.monotonicUs();
    const over = new AbortController();
    const transfer = this.#nextTransfer++;
    try {
      await new Promise<void>((resolve, reject) => {
        const outgoing: Outgoing = {
          transfer,
          blob,
          sha256,
          startUs: nowUs,
          heardUs: nowUs,
          sent: null,
          acknowledged: 0,
          present: 0,
          restarts: 0,
          settle: { resolve, reject },
        };
        const abort = (): void => {
          this.#remove(outgoing);
          reject(signal?.reason);
          this.#pump();
        };
        signal?.addEventListener('abort', abort, { once: true });
        over.signal.addEventListener('abort', () => signal?.removeEventListener('abort', abort));
        this.#waiting.push(outgoing);
        void this.#judge(outgoing, over.signal);
        this.#pump();
      });
    } finally {
      over.abort();
    }
  }

  /** Throws MESSAGE_INVALID for bytes that were never sent. */
  acknowledge({ transfer, bytes }: Acknowledgement): void {
    const outgoing = this.#active.find((one) => one.transfer === transfer);
    // Given up meanwhile.
    if (!outgoing) return;
    const nowUs = this.#options.clock.monotonicUs();
    if (bytes > outgoing.blob.byteLength || (outgoing.sent !== null && bytes > outgoing.sent))
      throw new HildaError(
        'MESSAGE_INVALID',
        `${bytes} bytes of transfer ${transfer} were acknowledged unsent`,
      );
    if (outgoing.sent === null) {
      outgoing.sent = bytes;
      outgoing.present = bytes;
    } else if (bytes < outgoing.acknowledged && !this.#restart(outgoing, bytes)) return;
    this.#options.onProgress?.(Math.max(0, bytes - outgoing.acknowledged));
    outgoing.acknowledged = bytes;
    outgoing.heardUs = nowUs;
    for (const { departure, bytes: size, alone } of this.#inFlight.arrived(transfer, bytes))
      this.#rate.arrive(departure, size, nowUs, alone);
    if (bytes === outgoing.blob.byteLength) {
      this.#remove(outgoing);
      outgoing.settle.resolve();
    }
    this.#pump();
  }

  /** The receiver does not take it. */
  refuse(transfer: number, error: HildaError): void {
    const outgoing = this.#active.find((one) => one.transfer === transfer);
    if (outgoing) this.#fail(outgoing, error);
  }

  /** The connection ended. */
  close(error: HildaError): void {
    if (this.#ended) return;
    this.#ended = error;
    this.#rate.broke();
    for (const outgoing of [...this.#active, ...this.#waiting]) outgoing.settle.reject(error);
    this.#active = [];
    this.#waiting = [];
    this.#inFlight.clear();
  }

  #pump(): void {
    if (this.#ended) return;
    this.#begin();
    const { clock, sendPiece } = this.#options;
    for (;;) {
      const alone = this.#inFlight.isEmpty;
      const nowUs = clock.monotonicUs();
      if (!alone && (this.#rate.mustDrain(nowUs) || this.#isFull(0))) return;
      const at = this.#active.findIndex(({ sent, blob }) => sent !== null && sent < blob.byteLength);
      const [outgoing] = at < 0 ? [] : this.#active.splice(at, 1);
      if (!outgoing || outgoing.sent === null) return;
      // In turn.
      this.#active.push(outgoing);
      const { transfer, blob, sent: offset } = outgoing;
      const bytes = blob.subarray(offset, offset + this.#rate.pieceBytes);
      const end = offset + bytes.byteLength;
      outgoing.sent = end;
      const departure = this.#rate.depart(nowUs, this.#isFull(bytes.byteLength));
      this.#inFlight.add({ transfer, end, bytes: bytes.byteLength, departure, alone });
      sendPiece(encodePiece({ transfer, offset, bytes }));
    }
  }

  /** Whether one more piece is too much, besides as many bytes. */
  #isFull(besides: number): boolean {
    return this.#inFlight.bytes + besides + this.#rate.pieceBytes > this.#rate.windowBytes;
  }

  /** One at a time of one content: the second then finds it there. */
  #begin(): void {
    for (const next of [...this.#waiting]) {
      if (this.#active.length >= mostActive) return;
      if (this.#active.some(({ sha256 }) => sha256 === next.sha256)) continue;
      this.#waiting = this.#waiting.filter((one) => one !== next);
      this.#active.push(next);
      next.heardUs = this.#options.clock.monotonicUs();
      const { transfer, blob, sha256 } = next;
      this.#options.announce({ transfer, bytes: blob.byteLength, sha256 });
    }
  }

  /** What came was damaged, or was lost there: it is sent again from there. False where that was so too often. */
  #restart(outgoing: Outgoing, from: number): boolean {
    if (++outgoing.restarts > mostRestarts) {
      const { peer } = this.#options;
      const message = `${peer} found a content of ${outgoing.blob.byteLength} bytes damaged ${outgoing.restarts} times`;
      this.#fail(outgoing, new HildaError('MESSAGE_INVALID', message));
      return false;
    }
    outgoing.sent = from;
    this.#inFlight.forget(outgoing.transfer);
    return true;
  }

  async #judge(outgoing: Outgoing, over: AbortSignal): Promise<void> {
    const { clock, peer } = this.#options;
    try {
      for (;;) {
        await clock.sleep(judgeEveryMs, { signal: over });
        if (!this.#active.includes(outgoing)) continue;
        const nowUs = clock.monotonicUs();
        const { blob, acknowledged, present, startUs, heardUs } = outgoing;
        const fault = transferFault({
          peer,
          bytes: blob.byteLength,
          done: acknowledged,
          came: acknowledged - present,
          elapsedMs: (nowUs - startUs) / 1000,
          stillMs: (nowUs - heardUs) / 1000,
          bytesPerS: this.#rate.facts.bytesPerS,
        });
        if (fault) this.#fail(outgoing, fault);
      }
    } catch {
      // It arrived, or was given up.
    }
  }

  #fail(outgoing: Outgoing, error: HildaError): void {
    this.#remove(outgoing);
    outgoing.settle.reject(error);
    this.#pump();
  }

  #remove(outgoing: Outgoing): void {
    this.#active = this.#active.filter((one) => one !== outgoing);
    this.#waiting = this.#waiting.filter((one) => one !== outgoing);
    this.#inFlight.forget(outgoing.transfer);
  }
}

import type { Transport } from '../../../../firmware-bridge/link/index.js';
import type { Clock } from '../../../core/clock.js';
import { HildaError } from '../../../core/errors.js';
import type { Rng } from '../../../core/rng.js';
import { type ByteFaults, damaged, lateness, split } from './byte-faults.js';

/** What is wrong with a line or the board behind it. Times in milliseconds from `strike` on. */
export interface LineFaults {
  readonly toBoard?: ByteFaults;
  readonly fromBoard?: ByteFaults;
  /** Random bytes that the host hears first each time the port is opened. */
  readonly garbageBytes?: number;
  /** Random bytes that the host hears now and then. */
  readonly noise?: { readonly everyMs: number; readonly bytes: number };
  /** The host hears what it sends. */
  readonly echo?: boolean;
  /** Opening the port resets the board, which hears and says nothing for so long. */
  readonly bootOnOpenMs?: number;
  /** Nothing passes in either direction. */
  readonly hang?: { readonly atMs: number; readonly forMs: number };
  /** The port is gone. */
  readonly unplug?: { readonly atMs: number; readonly forMs: number };
  /** The board resets by itself, once for each time. */
  readonly resetsAtMs?: readonly number[];
}

interface FaultyLineOptions {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly faults: () => LineFaults;
  readonly hanging: () => boolean;
  readonly onClosed: () => void;
  readonly deafUntilMs: number;
}

/** One opening of a faulty port. */
export class FaultyLine {
  readonly #name: string;
  readonly #options: FaultyLineOptions;
  #inner: Transport | undefined;
  #onBytes: (bytes: Uint8Array) => void = () => {};
  #onClose: (reason: string) => void = () => {};
  #out: Promise<void> = Promise.resolve();
  #back: Promise<void> = Promise.resolve();
  #ended: string | undefined;

  constructor(name: string, inner: Transport, options: FaultyLineOptions) {
    this.#name = name;
    this.#options = options;
    this.#listen(inner);
  }

  transport(restart: (() => Promise<void>) | undefined): Transport {
    return {
      name: this.#name,
      write: (bytes) => this.#write(bytes),
      onBytes: (listener) => {
        this.#onBytes = listener;
      },
      onClose: (listener) => {
        this.#onClose = listener;
      },
      ...(restart && { restart }),
      close: () => this.#end('closed'),
    };
  }

  /** The host hears bytes that nobody sent. */
  hear(bytes: Uint8Array): void {
    this.#queueBack(() => this.#onBytes(bytes));
  }

  async detach(): Promise<void> {
    const inner = this.#inner;
    this.#inner = undefined;
    await inner?.close();
  }

  async attach(inner: Transport): Promise<void> {
    if (this.#ended === undefined) this.#listen(inner);
    else await inner.close();
  }

  async lose(reason: string): Promise<void> {
    if (this.#ended !== undefined) return;
    await this.#end(reason);
    this.#onClose(reason);
  }

  #listen(inner: Transport): void {
    this.#inner = inner;
    inner.onBytes((bytes) => this.#heard(bytes));
    inner.onClose((reason) => {
      if (this.#inner === inner) void this.lose(reason);
    });
  }

  async #end(reason: string): Promise<void> {
    if (this.#ended !== undefined) return;
    this.#ended = reason;
    this.#options.onClosed();
    await this.detach();
  }

  get #deaf(): boolean {
    return this.#options.hanging() || this.#options.clock.nowMs() < this.#options.deafUntilMs;
  }

  /** Resolves when the line took the bytes, as a serial port's buffer does: not when they arrive. */
  async #write(bytes: Uint8Array): Promise<void> {
    if (this.#ended !== undefined)
      throw new HildaError('DEVICE_FAILED', `the serial port ${this.#name} is gone`);
    const { faults, rng } = this.#options;
    const { toBoard = {}, echo = false } = faults();
    if (echo) this.hear(bytes);
    if (this.#deaf) return;
    const arrived = damaged(bytes, toBoard, rng);
    const pass = async (part: Uint8Array): Promise<void> => {
      if (!this.#deaf) await this.#inner?.write(part);
    };
    this.#out = this.#carry(this.#out, arrived, toBoard, pass);
    // A sound line passes failures of the port on.
    if (Object.keys(toBoard).length === 0) await this.#out;
    else this.#out = this.#out.catch(() => {});
  }

  #heard(bytes: Uint8Array): void {
    const { faults, rng } = this.#options;
    const { fromBoard = {} } = faults();
    if (this.#deaf) return;
    const arrived = damaged(bytes, fromBoard, rng);
    const pass = async (part: Uint8Array): Promise<void> => {
      if (!this.#deaf && this.#ended === undefined) this.#onBytes(part);
    };
    this.#back = this.#carry(this.#back, arrived, fromBoard, pass);
  }

  #queueBack(what: () => void): void {
    this.#back = this.#back.then(what);
  }

  /** Hands a piece on behind those before it, as late and in as many parts as the faults ask for. */
  async #carry(
    before: Promise<void>,
    bytes: Uint8Array,
    faults: ByteFaults,
    pass: (part: Uint8Array) => Promise<void>,
  ): Promise<void> {
    const { clock, rng } = this.#options;
    const dueMs = clock.nowMs() + lateness(faults, rng);
    await before;
    if (dueMs > clock.nowMs()) await clock.sleep(dueMs - clock.nowMs());
    for (const [i, part] of split(bytes, faults).entries()) {
      if (i > 0 && faults.gapMs) await clock.sleep(faults.gapMs);
      await pass(part);
    }
  }
}

import type { Transport } from '../../../../firmware-bridge/link/index.js';
import type { Clock } from '../../../core/clock.js';
import { HildaError } from '../../../core/errors.js';
import { type Rng, randomInt } from '../../../core/rng.js';
import { FaultyLine, type LineFaults } from './faulty-line.js';

/** A board that a faulty port leads to: real, emulated or scripted. */
export interface BoardBehind {
  /** Opens the line to the board, which goes on running when the line is closed. */
  open(): Promise<Transport>;
  /** As if power were cut for a moment. Left out where the board cannot be reset from here. */
  reset?(): Promise<void>;
}

export interface FaultyPortOptions {
  readonly name: string;
  readonly board: BoardBehind;
  readonly clock: Clock;
  readonly rng: Rng;
}

/**
 * A serial port whose line is as bad as asked, from one moment to another. Drivers open it in place of the system's port:
 * what they get is a Transport like any other. The same seed on the same traffic gives the same faults.
 */
export class FaultyPort {
  readonly name: string;
  readonly #options: FaultyPortOptions;
  #faults: LineFaults = {};
  #struck = new AbortController();
  #line: FaultyLine | undefined;
  #hanging = false;
  #unplugged = false;
  #resetting: Promise<void> = Promise.resolve();

  constructor(options: FaultyPortOptions) {
    this.name = options.name;
    this.#options = options;
  }

  /** Whether the system lists the port. */
  get plugged(): boolean {
    return !this.#unplugged;
  }

  /** The faults begin, those of an earlier strike end. */
  strike(faults: LineFaults): void {
    this.heal();
    this.#faults = faults;
    this.#struck = new AbortController();
    const { hang, unplug, resetsAtMs = [], noise } = faults;
    if (hang)
      this.#between(hang, (on) => {
        this.#hanging = on;
      });
    if (unplug) this.#between(unplug, (on) => this.#plug(!on));
    for (const atMs of resetsAtMs) void this.#after(atMs, () => void this.#reset());
    if (noise && this.#line) void this.#makeNoise(this.#line, noise);
  }

  /** The line is sound from now on; what is under way still arrives as it was. */
  heal(): void {
    this.#struck.abort();
    this.#faults = {};
    this.#hanging = false;
    this.#unplugged = false;
  }

  /** Opens the port. Throws DEVICE_FAILED while it is unplugged, DEVICE_BUSY while it is open. */
  async open(): Promise<Transport> {
    const { board, clock, rng } = this.#options;
    if (this.#unplugged) throw new HildaError('DEVICE_FAILED', `the serial port ${this.name} is gone`);
    if (this.#line) throw new HildaError('DEVICE_BUSY', `another program uses the serial port ${this.name}`);
    const { bootOnOpenMs, garbageBytes = 0, noise } = this.#faults;
    if (bootOnOpenMs !== undefined) await board.reset?.();
    const line = new FaultyLine(this.name, await board.open(), {
      clock,
      rng,
      faults: () => this.#faults,
      hanging: () => this.#hanging,
      onClosed: () => {
        if (this.#line === line) this.#line = undefined;
      },
      deafUntilMs: clock.nowMs() + (bootOnOpenMs ?? 0),
    });
    this.#line = line;
    if (garbageBytes > 0) line.hear(this.#randomBytes(garbageBytes));
    if (noise) void this.#makeNoise(line, noise);
    return line.transport(board.reset && (() => this.#reset()));
  }

  /** Until no reset is under way. */
  settled(): Promise<void> {
    return this.#resetting;
  }

  /** The board behind starts anew; a line that is open stays open. One after the other. */
  #reset(): Promise<void> {
    this.#resetting = this.#resetting.then(() => this.#resetNow()).catch(() => {});
    return this.#resetting;
  }

  async #resetNow(): Promise<void> {
    const { board } = this.#options;
    if (!board.reset) return;
    await this.#line?.detach();
    await board.reset();
    if (this.#line) await this.#line.attach(await board.open());
  }

  #plug(plugged: boolean): void {
    this.#unplugged = !plugged;
    if (!plugged) void this.#line?.lose('the device was unplugged');
  }

  #between({ atMs, forMs }: { atMs: number; forMs: number }, set: (on: boolean) => void): void {
    void this.#after(atMs, () => {
      set(true);
      if (Number.isFinite(forMs)) void this.#after(forMs, () => set(false));
    });
  }

  async #after(ms: number, what: () => void): Promise<void> {
    const { signal } = this.#struck;
    await this.#options.clock.sleep(ms, { signal }).then(what, () => {});
  }

  /** Until the faults end or the line is closed. */
  async #makeNoise(line: FaultyLine, { everyMs, bytes }: NonNullable<LineFaults['noise']>): Promise<void> {
    const { signal } = this.#struck;
    while (!signal.aborted && this.#line === line)
      await this.#after(everyMs, () => line.hear(this.#randomBytes(bytes)));
  }

  #randomBytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => randomInt(this.#options.rng, 256));
  }
}

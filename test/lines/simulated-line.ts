import { HildaError } from '../../daemon/core/errors.js';
import type { Connection } from '../../daemon/devices/connection.js';
import type { VirtualClock } from './virtual-clock.js';

export interface LineOptions {
  readonly clock: VirtualClock;
  readonly bitsPerS: number;
  /** One way. */
  readonly delayMs: number;
}

/** Of a ws frame and its mask; a ping or pong is no more. */
const frameBytes = 14;
/** A TCP sender tries again after this long, then after twice as long, and so on (RFC 6298, section 5.5). */
const firstRetryMs = 200;
const mostRetryMs = 60_000;
/** As `connectWs` does. */
const handshakeLimitMs = 10_000;

/**
 * One bottleneck, as a phone's network is: all that is said in one direction leaves byte after byte, and nothing of it is
 * dropped. While the line is cut nothing passes and nobody is told; TCP sends it again, at its own intervals.
 */
export class SimulatedLine {
  readonly options: LineOptions;
  readonly down: Direction;
  readonly up: Direction;
  #cut: { readonly fromMs: number; readonly toMs: number } = { fromMs: 0, toMs: 0 };

  constructor(options: LineOptions) {
    this.options = options;
    this.down = new Direction(this);
    this.up = new Direction(this);
  }

  /** Nothing passes from now on, for so long. */
  cut(ms: number): void {
    const { clock } = this.options;
    this.#cut = { fromMs: clock.monotonicUs() / 1000, toMs: clock.monotonicUs() / 1000 + ms };
  }

  /** When bytes that meet the line at this time pass. */
  passesAt(atMs: number): number {
    const { fromMs, toMs } = this.#cut;
    if (atMs < fromMs || atMs >= toMs) return atMs;
    let at = atMs;
    for (let retryMs = firstRetryMs; at < toMs; retryMs = Math.min(2 * retryMs, mostRetryMs)) at += retryMs;
    return at;
  }

  /** A connection across the line, once its handshake is through: the near end, after the far one was handed over. */
  async connect(accept: (far: Connection) => void): Promise<Connection> {
    const { clock, delayMs } = this.options;
    const startMs = clock.monotonicUs() / 1000;
    const readyMs = this.passesAt(startMs) + 4 * delayMs;
    await clock.sleep(Math.min(readyMs - startMs, handshakeLimitMs));
    if (readyMs - startMs > handshakeLimitMs)
      throw new HildaError('DAEMON_UNREACHABLE', 'the handshake took too long');
    const [near, far] = [new End(clock, this.up), new End(clock, this.down)];
    near.other = far;
    far.other = near;
    accept(far);
    return near;
  }
}

/** One way through the line. */
class Direction {
  readonly #line: SimulatedLine;
  #freeMs = 0;
  /** All that came to a connection that was still open, frames included. What a cut swallowed never passed. */
  bytes = 0;

  constructor(line: SimulatedLine) {
    this.#line = line;
  }

  send(bytes: number, arrived: () => void): void {
    const { clock, bitsPerS, delayMs } = this.#line.options;
    const nowMs = clock.monotonicUs() / 1000;
    const startMs = Math.max(nowMs, this.#freeMs);
    const passesMs = this.#line.passesAt(startMs);
    if (passesMs > startMs) {
      void this.#again(passesMs - nowMs, bytes, arrived);
      return;
    }
    this.#freeMs = startMs + (8000 * bytes) / bitsPerS;
    void this.#arrive(this.#freeMs + delayMs - nowMs, bytes, arrived);
  }

  async #arrive(afterMs: number, bytes: number, arrived: () => void): Promise<void> {
    const { clock } = this.#line.options;
    await clock.sleep(afterMs);
    const nowMs = clock.monotonicUs() / 1000;
    const passesMs = this.#line.passesAt(nowMs);
    if (passesMs <= nowMs) arrived();
    else await this.#again(passesMs - nowMs, bytes, arrived);
  }

  /** What a cut swallowed is sent anew. Its sender waits for that, and nobody else does. */
  async #again(afterMs: number, bytes: number, arrived: () => void): Promise<void> {
    await this.#line.options.clock.sleep(afterMs);
    this.send(bytes, arrived);
  }
}

class End implements Connection {
  readonly peer = '192.0.2.7';
  other: End | null = null;
  readonly #clock: VirtualClock;
  readonly #way: Direction;
  readonly #kept: (string | Uint8Array)[] = [];
  #listener: ((message: string | Uint8Array) => void) | null = null;
  #closed: number | null = null;
  #closing: ((code: number) => void)[] = [];
  #heard = 0;
  /** Messages arrive in the order in which they were sent, also where a cut held one of them up. */
  #order: Promise<void> = Promise.resolve();

  constructor(clock: VirtualClock, way: Direction) {
    this.#clock = clock;
    this.#way = way;
  }

  send(message: string | Uint8Array): void {
    if (this.#closed !== null) return;
    const bytes = typeof message === 'string' ? Buffer.byteLength(message) : message.byteLength;
    const copy = typeof message === 'string' ? message : message.slice();
    this.#pass(bytes + frameBytes, (other) => other.#hear(copy, bytes + frameBytes));
  }

  onMessage(listener: ((message: string | Uint8Array) => void) | null): void {
    this.#listener = listener;
    while (this.#listener && this.#kept.length > 0) this.#listener(this.#kept.shift() as string);
  }

  onClose(listener: (code: number) => void): void {
    const code = this.#closed;
    if (code === null) this.#closing.push(listener);
    else queueMicrotask(() => listener(code));
  }

  close(code: number, reason: string): void {
    if (this.#closed !== null) return;
    this.#pass(reason.length + frameBytes, (other) => other.#end(code));
    void this.#clock.sleep(0).then(() => this.#end(code));
  }

  drop(): void {
    if (this.#closed !== null) return;
    this.#pass(frameBytes, (other) => other.#end(1006));
    this.#end(1006);
  }

  ping(): void {
    if (this.#closed !== null) return;
    this.#pass(frameBytes, (other) => {
      if (other.#closed !== null) return;
      other.#count(frameBytes);
      other.#pass(frameBytes, (back) => back.#count(frameBytes));
    });
  }

  receivedBytes(): number {
    return this.#heard;
  }

  #pass(bytes: number, arrive: (other: End) => void): void {
    const { other } = this;
    if (!other) return;
    const arrived = new Promise<void>((resolve) => this.#way.send(bytes, resolve));
    this.#order = this.#order.then(() => arrived).then(() => arrive(other));
  }

  #hear(message: string | Uint8Array, bytes: number): void {
    if (this.#closed !== null) return;
    this.#count(bytes);
    if (this.#listener) this.#listener(message);
    else this.#kept.push(message);
  }

  #count(bytes: number): void {
    this.#heard += bytes;
    // What it hears comes by the other end's way.
    if (this.other) this.other.#way.bytes += bytes;
  }

  #end(code: number): void {
    if (this.#closed !== null) return;
    this.#closed = code;
    for (const listener of this.#closing.splice(0)) listener(code);
  }
}

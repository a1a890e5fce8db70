import type { AddressInfo } from 'node:net';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { systemClock } from '../../daemon/core/clock.js';
import type { Speed } from './speed.js';

const sliceMs = 5;
const leastSlice = 1460;

/**
 * A TCP proxy on loopback: all connections share one rate a direction, and each byte comes later. What waits is held here,
 * in place of kernels and routers: a paused socket would not hear that its sender reset the connection.
 */
export class SlowProxy {
  readonly #target: number;
  readonly #ways: { readonly down: Way; readonly up: Way };
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  constructor(target: number, speed: Speed) {
    this.#target = target;
    this.#ways = { down: new Way(speed), up: new Way(speed) };
    this.#server = createServer((near) => this.#join(near));
  }

  get passed(): { readonly down: number; readonly up: number } {
    return { down: this.#ways.down.bytes, up: this.#ways.up.bytes };
  }

  /** Answers with the port. */
  start(): Promise<number> {
    return new Promise((resolve) => {
      this.#server.listen(0, '127.0.0.1', () => resolve((this.#server.address() as AddressInfo).port));
    });
  }

  /** Nobody is told: nothing passes, and what was on its way comes after it. */
  cut(ms: number): void {
    for (const way of Object.values(this.#ways)) way.cut(ms);
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(near: Socket): void {
    const far = connect(this.#target, '127.0.0.1');
    for (const socket of [near, far]) {
      socket.setNoDelay(true);
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.#sockets.delete(socket));
    }
    this.#ways.up.carry(near, far);
    this.#ways.down.carry(far, near);
  }
}

class Way {
  readonly #speed: Speed;
  #freeMs = 0;
  #openMs = 0;
  bytes = 0;

  constructor(speed: Speed) {
    this.#speed = speed;
  }

  cut(ms: number): void {
    this.#openMs = systemClock.monotonicUs() / 1000 + ms;
  }

  carry(from: Socket, to: Socket): void {
    const { kbitPerS } = this.#speed;
    const slice = Math.max(leastSlice, Math.round((kbitPerS * sliceMs) / 8));
    let order = Promise.resolve();
    let isReset = false;
    from.on('data', (data: Buffer) => {
      for (let at = 0; at < data.byteLength; at += slice) {
        const part = data.subarray(at, at + slice);
        const leftMs = this.#leaves(part.byteLength);
        order = order.then(() => this.#pass(part, leftMs, isReset ? null : to));
      }
    });
    from.on('close', (hadError) => {
      // What waits here waits in the sender's kernel on a real line, and a reset discards it.
      isReset = hadError;
      order = order.then(async () => {
        await this.#wait(systemClock.monotonicUs() / 1000 + this.#speed.delayMs);
        to.destroy();
      });
    });
  }

  /** When the last byte of as many has left; the next ones queue behind it. */
  #leaves(bytes: number): number {
    const nowMs = systemClock.monotonicUs() / 1000;
    this.#freeMs = Math.max(nowMs, this.#freeMs, this.#openMs) + (8 * bytes) / this.#speed.kbitPerS;
    return this.#freeMs;
  }

  async #pass(part: Buffer, leftMs: number, to: Socket | null): Promise<void> {
    if (to) await this.#wait(leftMs + this.#speed.delayMs);
    if (!to || to.destroyed) return;
    this.bytes += part.byteLength;
    to.write(part);
  }

  async #wait(untilMs: number): Promise<void> {
    for (;;) {
      const waitMs = Math.max(untilMs, this.#openMs) - systemClock.monotonicUs() / 1000;
      if (waitMs <= 0) return;
      await systemClock.sleep(waitMs);
    }
  }
}

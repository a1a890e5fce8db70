import type { Transport } from '../../../firmware-bridge/link/index.js';

/**
 * Keeps the drivers of one process apart that ask the same serial ports which firmware answers there. A port is asked by one
 * at a time, and not at all by the others while a device on it is open: each would take the other's questions for a fault.
 */
export class PortTurns {
  /** By path, the end of the last turn. */
  readonly #turns = new Map<string, Promise<unknown>>();
  /** By path, the kind of driver that has a device open there. */
  readonly #held = new Map<string, string>();
  /** By path, the kind of driver whose firmware answered there. */
  readonly #recognised = new Map<string, string>();

  /** Which kind of driver recognised the firmware of a port; null where none did. */
  recogniser(path: string): string | null {
    return this.#recognised.get(path) ?? null;
  }

  /** Keeps that a kind of driver recognised the port's firmware; null: it is no longer known. */
  recognised(path: string, kind: string | null): void {
    if (kind === null) this.#recognised.delete(path);
    else this.#recognised.set(path, kind);
  }

  /**
   * Asks when it is its turn; undefined, and nothing asked, where another kind of driver has the port then or recognised its
   * firmware.
   */
  ask<T>(path: string, kind: string, work: () => Promise<T>): Promise<T | undefined> {
    return this.#inTurn(path, async () => {
      const holder = this.#held.get(path) ?? this.#recognised.get(path);
      return holder === undefined || holder === kind ? work() : undefined;
    });
  }

  /** Opens the port for a device, which holds it until it closes the line. Throws what opening throws. */
  hold(path: string, kind: string, open: () => Promise<Transport>): Promise<Transport> {
    return this.#inTurn(path, async () => {
      const transport = await open();
      this.#held.set(path, kind);
      const close = async (): Promise<void> => {
        await transport.close();
        this.#held.delete(path);
      };
      return { ...transport, close };
    });
  }

  #inTurn<T>(path: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#turns.get(path) ?? Promise.resolve()).then(work, work);
    this.#turns.set(path, turn);
    return turn;
  }
}

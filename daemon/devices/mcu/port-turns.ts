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

  /** Asks when it is its turn; undefined, and nothing asked, where another kind of driver has the port then. */
  ask<T>(path: string, kind: string, work: () => Promise<T>): Promise<T | undefined> {
    return this.#inTurn(path, async () => {
      const holder = this.#held.get(path);
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

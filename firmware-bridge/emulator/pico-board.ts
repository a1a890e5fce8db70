import { Worker } from 'node:worker_threads';
import { HildaError } from '../../daemon/core/errors.js';
import type { Transport } from '../link/transports/transport.js';
import { ByteRing } from './byte-ring.js';
import { control, orders, type PicoWorkerData } from './pico-control.js';

export interface EmulatedBoard extends Transport {
  /** Switches the board off and on; its flash keeps what it holds. */
  restart(): Promise<void>;
  /** Stops the core as a program that hangs would, until `restart`: for tests of what then follows. */
  halt(): void;
  /** Milliseconds of processor time the emulation itself took, where that can be told. */
  busyMs(): number | null;
}

const ringBytes = 16 * 1024;

/** A Raspberry Pi Pico in its own thread. Needs nothing that npm does not bring. */
export function startPico(image: Uint8Array): EmulatedBoard {
  const words = new SharedArrayBuffer(4 * control.words);
  const flags = new Int32Array(words);
  const received = ByteRing.memory(ringBytes);
  const ring = new ByteRing(received);
  const data: PicoWorkerData = { image, control: words, received };
  const worker = new Worker(new URL('./pico-worker.js', import.meta.url), { workerData: data });
  let closed = false;
  let failed: Error | undefined;
  const wake = (): void => {
    Atomics.add(flags, control.wake, 1);
    Atomics.notify(flags, control.wake);
  };
  const order = (value: number): void => {
    Atomics.or(flags, control.order, value);
    wake();
  };
  const exited = new Promise<void>((resolve) => {
    worker.once('exit', () => resolve());
  });
  return {
    name: 'emulated Pico',
    write: async (bytes) => {
      for (let left = bytes; left.length > 0; ) {
        if (closed || failed)
          throw new HildaError('DEVICE_FAILED', 'the emulated Pico has stopped', { cause: failed });
        left = left.subarray(ring.write(left));
        wake();
        // The ring is full: the board is behind, and the thread needs this one's time.
        if (left.length > 0) await new Promise((resolve) => setImmediate(resolve));
      }
    },
    onBytes: (listener) => {
      worker.removeAllListeners('message');
      worker.on('message', listener);
    },
    onClose: (listener) => {
      worker.removeAllListeners('error');
      worker.on('error', (error) => {
        failed = error;
        listener(`the emulator failed: ${error.message}`);
      });
    },
    restart: async () => order(orders.cutPower),
    halt: () => order(orders.halt),
    busyMs: () => Atomics.load(flags, control.busyMs),
    close: async () => {
      if (!closed) {
        closed = true;
        order(orders.stop);
      }
      await exited;
    },
  };
}

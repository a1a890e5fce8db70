import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../../daemon/core/clock.js';
import { ByteRing } from './byte-ring.js';
import { control, orders, type PicoWorkerData } from './pico-control.js';
import { PicoMachine } from './pico-machine.js';

/**
 * The thread of one emulated Pico. It never returns to its event loop while the board runs: bytes and orders come
 * through shared memory, bytes go out as messages.
 */
const { image, control: shared, received } = workerData as PicoWorkerData;
const words = new Int32Array(shared);
const line = new ByteRing(received);
/** About 4 ms of work: how long an answer may lie before it is passed on. */
const sliceInstructions = 50_000;

let sent: number[] = [];
let busyUs = 0;
/** The core stands still until its power is cut, as one that hangs. */
let halted = false;
const machine = new PicoMachine({ image, onByte: (byte) => sent.push(byte) });

for (let alive = true; alive; ) {
  const wake = Atomics.load(words, control.wake);
  if (!halted) feed();
  if (halted || machine.idle) {
    Atomics.wait(words, control.wake, wake, 1000);
  } else {
    const startUs = systemClock.monotonicUs();
    machine.run(sliceInstructions);
    busyUs += systemClock.monotonicUs() - startUs;
    Atomics.store(words, control.busyMs, Math.round(busyUs / 1000));
  }
  flush();
  const order = Atomics.exchange(words, control.order, orders.none);
  if (order & orders.stop) alive = false;
  if (order & orders.halt) halted = true;
  if (order & orders.cutPower) {
    halted = false;
    machine.cutPower();
  }
}

/** As much as the receiver holds: the line has no pace, but it has flow control. */
function feed(): void {
  for (let room = machine.room; room > 0; room--) {
    const byte = line.read();
    if (byte < 0) return;
    machine.receive(byte);
  }
}

function flush(): void {
  if (sent.length === 0) return;
  parentPort?.postMessage(Uint8Array.from(sent));
  sent = [];
}

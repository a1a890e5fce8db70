/**
 * `npm run bench -- link [--bytes N]`: uploads a program to the emulated Pico over a line paced to 115,200 baud, 8N1.
 * Figures: the share of the line's rate that the program's own bytes reach (bar: 0.9), without pacing the bytes a
 * second that the emulator takes, and the round trip of a ping without pacing.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { systemClock } from '../../daemon/core/clock.js';
import { findFirmware } from '../../daemon/devices/mcu/board-profile.js';
import { startPico } from '../../firmware-bridge/emulator/pico-board.js';
import { BoardSession, type Transport } from '../../firmware-bridge/link/index.js';

const { values: flags } = parseArgs({ options: { bytes: { type: 'string', default: '65536' } } });
const baud = 115_200;
const bytesPerSecond = baud / 10;
const { signal } = new AbortController();
const image = readFileSync(findFirmware('rp2040-pico')?.path ?? '');
let nonces = 1;

/**
 * Each direction hands bytes on when the line would have: 10 bits a byte, one after the other. When that is follows from
 * when they were handed over, so that late timers of a busy machine do not slow the line down.
 */
function paced(inner: Transport): Transport {
  const line = (): ((bytes: number) => Promise<void>) => {
    let freeAtUs = 0;
    return (bytes) => {
      freeAtUs = Math.max(freeAtUs, systemClock.monotonicUs()) + (bytes / bytesPerSecond) * 1e6;
      const waitMs = (freeAtUs - systemClock.monotonicUs()) / 1000;
      return waitMs > 0 ? systemClock.sleep(waitMs) : Promise.resolve();
    };
  };
  const [out, back] = [line(), line()];
  let tail = Promise.resolve();
  return {
    ...inner,
    write: (bytes) => {
      const taken = out(bytes.length);
      tail = tail.then(() => taken).then(() => inner.write(bytes));
      return tail;
    },
    onBytes: (listener) => inner.onBytes((bytes) => void back(bytes.length).then(() => listener(bytes))),
  };
}

async function uploadRate(
  through: (line: Transport) => Transport,
): Promise<{ rate: number; pingMs: number }> {
  const session = new BoardSession({
    transport: through(startPico(image)),
    nonce: () => nonces++,
    patience: 20,
  });
  try {
    await session.hello({ signal });
    const program = Uint8Array.from({ length: Number(flags.bytes) }, (_, i) => (i * 7) % 256);
    const pings = 20;
    const pingStart = systemClock.monotonicUs();
    for (let i = 0; i < pings; i++) await session.ping({ signal });
    const pingMs = (systemClock.monotonicUs() - pingStart) / 1000 / pings;
    let endUs = 0;
    const startUs = systemClock.monotonicUs();
    // The board refuses it in the end, since it is no program: the bytes have arrived by then.
    await session
      .upload('ram', program, {
        signal,
        onProgress: (sent) => {
          if (sent === program.length) endUs = systemClock.monotonicUs();
        },
      })
      .catch(() => {});
    return { rate: (program.length * 1e6) / (endUs - startUs), pingMs };
  } finally {
    await session.close();
  }
}

const slow = await uploadRate(paced);
const fast = await uploadRate((line) => line);
const figures = {
  lineShare: slow.rate / bytesPerSecond,
  unpacedBytesPerSecond: Math.round(fast.rate),
  pingMs: fast.pingMs,
  bytes: Number(flags.bytes),
};
console.log(JSON.stringify({ bench: 'link', figures }));

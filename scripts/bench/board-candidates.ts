/**
 * `npm run bench -- board-candidates [--networks N]`: different networks of about 1 MMAC measured one after the other on
 * the emulated Pico, as a search does: compiled, sent, run twice, read back. Figures: candidates a minute, and the
 * share of the time that went into anything but the emulation itself (bar: 0.1).
 */
import { parseArgs } from 'node:util';
import { systemClock } from '../../daemon/core/clock.js';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import type { Device } from '../../daemon/devices/contract.js';
import { EmulatedDriver } from '../../daemon/devices/mcu/emulated-driver.js';
import { loadProtocol } from '../../daemon/measure/protocols.js';
import { countCost } from '../../daemon/network/cost.js';
import { floatTensor, type Graph } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';

const { values: flags } = parseArgs({ options: { networks: { type: 'string', default: '10' } } });
const { signal } = new AbortController();
let busyMs: () => number = () => 0;

/** Four convolutions of 1x1 and 3x3, whose widths differ from network to network. */
function network(index: number): Graph {
  const rng = Xoshiro128.fromSeed(index);
  const builder = new GraphBuilder({ name: `candidate-${index}` });
  let x = builder.input('x', 'float32', [1, 8, 16, 16]);
  let channels = 8;
  const widths = [24 + (index % 4) * 2, 16, 24 + (index % 3) * 2, 10];
  for (const [i, width] of widths.entries()) {
    const side = i === 1 ? 3 : 1;
    const weights = Float32Array.from({ length: width * channels * side * side }, () => rng.next() - 0.5);
    const w = builder.constant(`w${i}`, floatTensor([width, channels, side, side], weights));
    x = builder.relu(builder.conv(x, w));
    channels = width;
  }
  builder.output(x);
  return builder.build();
}

async function open(): Promise<Device> {
  const driver = new EmulatedDriver({
    boards: ['rp2040-pico'],
    onStart: (board) => {
      busyMs = () => board.busyMs() ?? 0;
    },
  });
  for await (const sighting of driver.discover({ signal })) return driver.open(sighting, { signal });
  throw new Error('no emulated Pico');
}

const device = await open();
try {
  const count = Number(flags.networks);
  const protocol = loadProtocol('search');
  // The first also fills the weight pool.
  await device.measure(network(1000), protocol, { signal });
  const startMs = systemClock.monotonicUs() / 1000;
  const startBusyMs = busyMs();
  let macs = 0;
  for (let i = 0; i < count; i++) {
    const candidate = network(i);
    macs += countCost(candidate).macs;
    const { counts, verdict } = await device.measure(candidate, protocol, { signal });
    console.error(`${candidate.name}: ${counts?.total} ${counts?.unit}, ${verdict}`);
  }
  const elapsedMs = systemClock.monotonicUs() / 1000 - startMs;
  const figures = {
    candidatesPerMinute: (count * 60_000) / elapsedMs,
    hostShare: 1 - (busyMs() - startBusyMs) / elapsedMs,
    meanMacs: Math.round(macs / count),
    networks: count,
  };
  console.log(JSON.stringify({ bench: 'board-candidates', figures }));
} finally {
  await device.close();
}

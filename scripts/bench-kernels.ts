/**
 * Cost of every operator on every emulated core: `npm run bench -- kernels [--cores m4,m55] [--images DIR]`. QEMU counts
 * instructions; rp2040js models the Cortex-M0+'s cycles with memory that has no wait states. Neither is a time.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { weightLayouts } from '../firmware-bridge/compiler/encode/format.js';
import { type EmulatedBoard, startPico } from '../firmware-bridge/emulator/pico-board.js';
import { qemuInstructionNs, startQemu } from '../firmware-bridge/emulator/qemu-board.js';
import { BoardSession } from '../firmware-bridge/link/index.js';
import { kernelPrograms } from './kernel-programs.js';

/** CMSIS-NN 99f736a6 on the same machines and shapes, GCC 12.2 -O3, instructions per MAC: imported, not measured here. */
const anchors: Readonly<Record<string, number>> = {
  'm4.conv1x1_16_64': 3.98,
  'm4.conv1x1_64_64': 2.07,
  'm4.conv1x1_32_16': 2.71,
  'm4.conv1x1_192_192': 1.66,
  'm4.depthwise3x3_64': 8.61,
  'm7.conv1x1_16_64': 3.93,
  'm7.conv1x1_64_64': 2.03,
  'm7.conv1x1_32_16': 2.67,
  'm7.conv1x1_192_192': 1.62,
  'm7.depthwise3x3_64': 8.48,
  'm55.conv1x1_16_64': 1.06,
  'm55.conv1x1_64_64': 0.39,
  'm55.conv1x1_192_192': 0.25,
  'm55.depthwise3x3_64': 2.3,
};

const machines = { m4: 'mps2-an386', m7: 'mps2-an500', m55: 'mps3-an547' } as const;
/** Side of the square images: the emulated Pico is slow, and the cost of a MAC hardly depends on it. */
const sides = { m0plus: 6, m4: 16, m7: 16, m55: 16 } as const;
type Core = keyof typeof sides;

const { values: flags } = parseArgs({
  options: {
    cores: { type: 'string', default: Object.keys(sides).join(',') },
    images: { type: 'string', default: 'profiles/firmware' },
    only: { type: 'string', default: '' },
  },
});
const { signal } = new AbortController();
const figures: Record<string, number> = {};

for (const core of flags.cores.split(',') as Core[]) {
  const board = await open(core);
  try {
    await measure(core, board);
  } finally {
    await board.close();
  }
}
const compared = Object.keys(anchors).filter((key) => key in figures);
const sum = (of: (key: string) => number): number => compared.reduce((a, key) => a + of(key), 0);
if (compared.length > 0)
  console.log(
    `against CMSIS-NN in sum: ${sum((key) => figures[key] as number).toFixed(2)} to ${sum((key) => anchors[key] as number).toFixed(2)}`,
  );
console.log(JSON.stringify({ bench: 'kernels', figures }));

async function open(core: Core): Promise<EmulatedBoard> {
  if (core === 'm0plus') return startPico(readFileSync(join(flags.images, 'rp2040-pico.bin')));
  return startQemu({
    machine: machines[core],
    imagePath: join(flags.images, `${machines[core]}.bin`),
    signal,
  });
}

async function measure(core: Core, board: EmulatedBoard): Promise<void> {
  const session = new BoardSession({
    transport: board,
    nonce: () => 1 + Math.floor(Math.random() * 2 ** 30),
    patience: 20,
  });
  const hello = await session.hello({ signal });
  await session.preparePool({ signal });
  const layout = weightLayouts[hello.nativeLayout] ?? 'rows';
  // Counters that tick by time count instructions only through QEMU's fixed time for each.
  const perTick = hello.tickUnit === 'timer' ? 1e9 / hello.ticksHz / qemuInstructionNs : 1;
  const unit = core === 'm0plus' ? 'modelled cycles' : 'instructions';
  for (const kernel of kernelPrograms(layout, sides[core], Math.min(hello.poolBytes, 96 * 1024))) {
    if (flags.only !== '' && !kernel.name.includes(flags.only)) continue;
    await session.upload('ram', kernel.program, { signal });
    const report = await session.run({ slot: 'ram', limitMs: 600_000, timeoutMs: 60_000, signal });
    const cost = ((report.ticks - report.tickOverhead) * perTick) / kernel.units;
    const key = `${core}.${kernel.name}`;
    figures[key] = Number(cost.toFixed(3));
    const anchor = anchors[key];
    console.log(
      `${key.padEnd(34)} ${cost.toFixed(3)} ${unit} a ${kernel.unit}${anchor ? `  (CMSIS-NN ${anchor})` : ''}`,
    );
  }
}

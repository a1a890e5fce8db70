/**
 * Cost of every operator on every emulated core: `npm run bench -- kernels [--cores m4,m55] [--images DIR]`. QEMU counts
 * instructions; rp2040js models the Cortex-M0+'s cycles with memory that has no wait states. Neither is a time. Ends with
 * each core's comparison with CMSIS-NN (`kernel-anchors.ts`).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { weightLayouts } from '../../firmware-bridge/compiler/layout/format.js';
import { type EmulatedBoard, startPico } from '../../firmware-bridge/emulator/pico-board.js';
import { qemuInstructionNs, startQemu } from '../../firmware-bridge/emulator/qemu-board.js';
import { BoardSession } from '../../firmware-bridge/link/index.js';
import { cmsisNn } from './parts/kernel-anchors.js';
import { kernelPrograms } from './parts/kernel-programs.js';

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
const against = Object.fromEntries(
  Object.keys(cmsisNn).flatMap((core) => {
    const comparison = compare(core);
    return comparison ? [[core, comparison]] : [];
  }),
);
for (const [core, { ours, theirs, shapes, highest, worse }] of Object.entries(against)) {
  console.log(
    `${core} against CMSIS-NN: ${ours} to ${theirs} in sum of ${shapes} shapes, ` +
      `at most ${highest.ratio} of it (${highest.kernel}); worse on ${worse.join(', ') || 'none'}`,
  );
}
console.log(JSON.stringify({ bench: 'kernels', figures, againstCmsisNn: against }));

/** Sums of costs per MAC over the shapes of a core that were measured here and for CMSIS-NN; undefined: there are none. */
function compare(core: string) {
  const rows = Object.entries(cmsisNn[core] ?? {}).flatMap(([kernel, theirs]) => {
    const ours = figures[`${core}.${kernel}`];
    return ours === undefined ? [] : [{ kernel, ours, theirs, ratio: Number((ours / theirs).toFixed(3)) }];
  });
  rows.sort((a, b) => b.ratio - a.ratio);
  const [first] = rows;
  if (!first) return undefined;
  const sum = (of: 'ours' | 'theirs'): number => Number(rows.reduce((a, row) => a + row[of], 0).toFixed(2));
  return {
    ours: sum('ours'),
    theirs: sum('theirs'),
    shapes: rows.length,
    highest: { kernel: first.kernel, ratio: first.ratio },
    worse: rows.filter((row) => row.ours > row.theirs).map((row) => row.kernel),
  };
}

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
    const anchor = cmsisNn[core]?.[kernel.name];
    console.log(
      `${key.padEnd(34)} ${cost.toFixed(3)} ${unit} a ${kernel.unit}${anchor ? `  (CMSIS-NN ${anchor})` : ''}`,
    );
  }
}

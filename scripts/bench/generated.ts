/**
 * `npm run bench -- generated [--boards A,B]`: what it saves and costs to generate the fixed projection of an hourglass MLP on
 * the board instead of storing it. The smallest and the largest network of hourglass-mlp, random weights in them, calibrated on random values, on emulated
 * boards: flash of the program, planned arena, counts of one inference (modelled cycles on the Pico, instructions on
 * QEMU's cores; never a real board's time), with weights generated in tiles of 16, 8 and 4 channels as the arena allows,
 * and stored. Figures: `<board>.<network>.stored|generated.flashBytes|arenaBytes|count`, `.projection` (the layer's own
 * count), and of the smaller tiles `.tile8|tile4.arenaBytes|count`.
 */
import { parseArgs } from 'node:util';
import type { Architecture } from '../../daemon/core/architecture.js';
import { calibrateOn } from '../../daemon/devices/mcu/calibrate.js';
import { randomWeights } from '../../daemon/search/spaces/parts/random-weights.js';
import { type CompiledNetwork, compile, operatorFacts } from '../../firmware-bridge/compiler/index.js';
import { emulatedBoards, runPainted } from './parts/emulated-session.js';
import { openSpace } from './parts/measure-spaces.js';

const { values: flags } = parseArgs({
  options: { boards: { type: 'string', default: 'rp2040-pico,mps2-an386,mps2-an500,mps3-an547' } },
});
const { signal } = new AbortController();
const figures: Record<string, number> = {};
const space = openSpace('hourglass-mlp');
const calibration = calibrateOn({}, signal).ranges;
const [smallest, largest] = (space.seeds?.() ?? []) as [Architecture, Architecture];

for await (const { name, session, board } of emulatedBoards(flags.boards, signal)) {
  for (const [size, architecture] of [
    ['smallest', smallest],
    ['largest', largest],
  ] as const) {
    const network = space.network(architecture, randomWeights);
    const compiled = (arenaBytes: number, generatedWeights = true): Promise<CompiledNetwork> =>
      compile(network, {
        board: { ...board, arenaBytes },
        weights: 'real',
        calibration,
        tricks: { generatedWeights },
      });
    const run = async (variant: string, one: CompiledNetwork): Promise<void> => {
      const { program, records, arenaBytes, flashBytes, topLevel } = one;
      const { report, ticks } = await runPainted(session, program, {
        records: records.length,
        arenaBytes,
        signal,
      });
      // The projection is by far the deepest layer: the one with the most products.
      const macs = operatorFacts(one).map(({ quantities }) => quantities.get('macs') ?? 0);
      const projection = ticks[topLevel[macs.indexOf(Math.max(...macs))] as number] as number;
      Object.entries({ flashBytes, arenaBytes, count: report.ticks, projection }).forEach(
        ([figure, value]) => {
          figures[`${name}.${size}.${variant}.${figure}`] = value;
        },
      );
      console.log(
        `${name}, ${size}, ${variant}: flash ${flashBytes} B, arena ${arenaBytes} B, ${report.ticks} ${session.board.tickUnit}, ${projection} of them the projection`,
      );
    };
    await run('stored', await compiled(board.arenaBytes, false));
    let generated = await compiled(board.arenaBytes);
    await run('generated', generated);
    for (const tile of [8, 4]) {
      generated = await compiled(generated.arenaBytes - 1);
      await run(`tile${tile}`, generated);
    }
  }
}
console.log(JSON.stringify({ bench: 'generated', figures }));

/**
 * `npm run bench -- mcu-nets [--boards A,B]`: the four networks of MLPerf Tiny, built here with random weights, compiled and
 * run on emulated boards: counts of every operator, arena, flash. Counts are emulated: instructions on QEMU's cores,
 * modelled cycles on the Pico, never a real board's time.
 */
import { parseArgs } from 'node:util';
import { compile, explainFit } from '../../firmware-bridge/compiler/index.js';
import { emulatedBoards, runPainted } from './parts/emulated-session.js';
import { mlperfTinyNetworks } from './parts/mlperf-tiny-networks.js';

const { values: flags } = parseArgs({
  options: {
    boards: { type: 'string', default: 'mps2-an386,rp2040-pico' },
    quiet: { type: 'boolean', default: false },
  },
});
const { signal } = new AbortController();
const figures: Record<string, number | string> = {};

for await (const { name, session, board } of emulatedBoards(flags.boards, signal)) {
  for (const [network, build] of Object.entries(mlperfTinyNetworks)) {
    const compiled = await compile(build(), { board, weights: 'pool' });
    const real = await compile(build(), { board, weights: 'real' });
    const key = `${name}.${network}`;
    figures[`${key}.arenaBytes`] = compiled.arenaBytes;
    figures[`${key}.flashBytes`] = real.flashBytes;
    console.log(
      `${network} on ${name}: ${(compiled.macs / 1e6).toFixed(2)} MMAC, arena ${compiled.arenaBytes} B (bound ${compiled.boundBytes} B), flash ${real.flashBytes} B with its weights`,
    );
    const { fits, advice } = explainFit(compiled);
    if (!fits) {
      console.log(`  does not fit: ${advice.join(' ')}`);
      continue;
    }
    const { report, ticks } = await runPainted(session, compiled.program, {
      records: compiled.records.length,
      arenaBytes: compiled.arenaBytes,
      signal,
    });
    const unit = session.board.tickUnit;
    if (!flags.quiet)
      for (const index of compiled.topLevel) {
        const { name: operator, kind } = compiled.records[index] as { name: string; kind: string };
        console.log(
          `  ${kind.padEnd(12)} ${operator.padEnd(28)} ${String(ticks[index]).padStart(12)} ${unit}`,
        );
      }
    figures[`${key}.count`] = report.ticks;
    figures[`${key}.perMac`] = report.ticks / compiled.macs;
    figures[`${key}.arenaMeasuredBytes`] = report.arenaPeakBytes;
    console.log(
      `  ${report.ticks} ${unit}, ${(report.ticks / compiled.macs).toFixed(2)} a MAC; arena measured ${report.arenaPeakBytes} B, stack ${report.stackPeakBytes} B`,
    );
  }
}
console.log(JSON.stringify({ bench: 'mcu-nets', figures }));

/**
 * `npm run bench -- line-faults [--seeds N] [--links hilda,mlperf-tiny] [--board NAME] [--fault NAME] [--side N]`: measures
 * over lines and on boards with each fault of `daemon/devices/mcu/line-faults/fault-list.ts`, and again after it. MLPerf
 * Tiny: a scripted board on a simulated clock. Hilda's own link: firmware in an emulator, in real time, `--side` at a time.
 * Figures: `faults` runs whose fault ends or that must be measured nonetheless (bar: all `recovered`), `wrongValid`
 * measurements that are valid and wrong (bar: 0), `hangs` waits of more than 10 s without a word (bar: 0).
 */
import { parseArgs } from 'node:util';
import { lineFaultTable } from '../../daemon/cli/line-fault-table.js';
import { systemClock } from '../../daemon/core/clock.js';
import { SimulatedClock } from '../../daemon/core/simulated-clock.js';
import { faultList } from '../../daemon/devices/mcu/line-faults/fault-list.js';
import {
  emulatedLine,
  type LineUnderTest,
  scriptedLine,
} from '../../daemon/devices/mcu/line-faults/lines-under-test.js';
import { runFaults } from '../../daemon/devices/mcu/line-faults/run-faults.js';
import { type Outcome, tally } from '../../daemon/devices/mcu/line-faults/test-line.js';
import { loadProtocol } from '../../daemon/measure/protocols.js';

const { values: flags } = parseArgs({
  options: {
    seeds: { type: 'string', default: '4' },
    links: { type: 'string', default: 'hilda,mlperf-tiny' },
    board: { type: 'string', default: 'mps2-an386' },
    fault: { type: 'string' },
    side: { type: 'string', default: '2' },
  },
});
const { signal } = new AbortController();
const protocol = loadProtocol('quick');
const faults = faultList.filter(({ name }) => flags.fault === undefined || name === flags.fault);
const links = flags.links.split(',');
const onOutcome = ({ link, fault, seed, during, after, reason }: Outcome): void =>
  console.error(`${link} ${fault} ${seed}: ${during} -> ${after ?? '-'} (${reason})`);
const common = { faults, seeds: Number(flags.seeds), protocol, signal, onOutcome };

const outcomes: Outcome[] = [];
const makers: Record<string, { side: number; makeLine: (seed: number) => Promise<LineUnderTest> }> = {
  // One at a time: a simulated clock has its process to itself.
  'mlperf-tiny': { side: 1, makeLine: async (seed) => scriptedLine(seed, new SimulatedClock()) },
  hilda: {
    side: Number(flags.side),
    makeLine: (seed) => emulatedLine(flags.board, seed, systemClock, signal),
  },
};
for (const link of links) {
  const maker = makers[link];
  if (maker) outcomes.push(...(await runFaults({ ...common, ...maker })));
}
console.log(lineFaultTable(outcomes));
const { kinds, runs, ...figures } = tally(outcomes);
console.log(JSON.stringify({ bench: 'line-faults', figures: { ...figures, kinds, runs } }));
process.exit(0);

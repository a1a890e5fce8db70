import { HildaError } from '../../../core/errors.js';
import { SimulatedClock } from '../../../core/simulated-clock.js';
import { type Fault, faultList } from '../../../devices/mcu/line-faults/fault-list.js';
import {
  emulatedLine,
  type LineUnderTest,
  realLine,
  recognise,
  scriptedLine,
} from '../../../devices/mcu/line-faults/lines-under-test.js';
import { runFaults } from '../../../devices/mcu/line-faults/run-faults.js';
import { longestSilenceMs, type Outcome, tally } from '../../../devices/mcu/line-faults/test-line.js';
import { loadProtocol } from '../../../measure/protocols.js';
import type { CliContext } from '../../context.js';
import { lineFaultTable } from '../../line-fault-table.js';
import { Progress } from '../../terminal/progress.js';

interface Options {
  readonly faults?: string;
  readonly seeds: string;
  readonly protocol: string;
  readonly inputBytes?: string;
  readonly list?: true;
}

async function testLine(context: CliContext, board: string, options: Options): Promise<void> {
  const faults = chosen(options.faults);
  if (options.list) {
    const columns = [
      { title: 'fault', value: ({ name }: Fault) => name },
      { title: 'what', value: ({ what }: Fault) => what },
      { title: 'then', value: ({ kind }: Fault) => meaning[kind] },
    ];
    const data = { faults: faults.map(({ name, what, kind }) => ({ name, what, kind })) };
    return context.answerTable('line-fault-list', data, columns, faults, 'none');
  }
  const seeds = count('--seeds', options.seeds);
  const { signal, terminal } = context;
  const progress = new Progress(terminal);
  const onOutcome = ({ fault, seed, during, after }: Outcome): void =>
    progress.show(`${fault}, seed ${seed}: ${during}${after === null ? '' : `, then ${after}`}`);
  const outcomes = await runFaults({
    makeLine: await lineMaker(context, board, options.inputBytes),
    faults,
    seeds,
    protocol: loadProtocol(options.protocol),
    signal,
    onOutcome,
  }).finally(() => progress.end());
  if (outcomes.length === 0)
    throw new HildaError('REQUEST_INVALID', `${board} can have none of these faults`, {
      hint: 'hilda devices test-line --list names all of them.',
    });
  const figures = tally(outcomes);
  context.answer('line-faults', { board, ...figures, outcomes }, () =>
    [
      lineFaultTable(outcomes, terminal),
      `${figures.recovered} of ${figures.faults} measured right in the end, ${figures.wrongValid} valid and wrong, ${figures.hangs} silent for more than ${longestSilenceMs / 1000} s.`,
    ].join('\n'),
  );
  if (figures.wrongValid + figures.hangs > 0 || figures.recovered < figures.faults)
    throw new HildaError('DEVICE_FAILED', `${board} does not hold with every fault`, {
      hint: 'The table says with which. Measurements on this line are checked by repeating them.',
    });
}

const meaning: Readonly<Record<Fault['kind'], string>> = {
  ends: 'ends: the next measurement is right',
  stays: 'stays: it is measured right nonetheless',
  told: 'stays: no measurement is valid',
};

async function lineMaker(
  { signal, terminal }: CliContext,
  board: string,
  inputBytes: string | undefined,
): Promise<(seed: number) => Promise<LineUnderTest>> {
  const { clock } = terminal;
  if (board === 'mlperf-tiny') return async (seed) => scriptedLine(seed, new SimulatedClock());
  const emulated = /^emulated-(.+)$/.exec(board)?.[1];
  if (emulated !== undefined) return (seed) => emulatedLine(emulated, seed, clock, signal);
  const { link, model } = await recognise(board, signal);
  const bytes = inputBytes === undefined ? null : count('--input-bytes', inputBytes);
  return async (seed) => realLine(board, { link, model, inputBytes: bytes, seed, clock });
}

function chosen(names: string | undefined): readonly Fault[] {
  if (names === undefined) return faultList;
  return names.split(',').map((name) => {
    const fault = faultList.find((one) => one.name === name.trim());
    if (!fault)
      throw new HildaError('REQUEST_INVALID', `there is no fault "${name}"`, {
        hint: 'hilda devices test-line --list names all of them.',
      });
    return fault;
  });
}

function count(option: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new HildaError('REQUEST_INVALID', `${option} takes a whole number from 1 on, not "${text}"`);
  return value;
}

export const devicesTestLineAction = testLine;

import { Command, Option } from 'commander';
import { lazily, type Terminal } from '../../context.js';

export const devicesTestLineCommand = (terminal: Terminal): Command =>
  new Command('test-line')
    .description('measures over a line with faults, and after each: is anything wrong taken for valid?')
    .argument(
      '[board]',
      'mlperf-tiny (scripted), an emulated board such as emulated-mps2-an386, or a serial port',
      'mlperf-tiny',
    )
    .option('--faults <names>', 'some of them, separated by commas')
    .option('--seeds <count>', 'runs of each fault', '3')
    .option('--protocol <name>', 'how each measurement is taken', 'quick')
    .addOption(
      new Option('--input-bytes <count>', "size of the model's input, of MLPerf Tiny firmware on a port"),
    )
    .option('--list', 'only name the faults')
    .action(
      lazily(
        terminal,
        async () => (await import('../../actions/devices/test-line.js')).devicesTestLineAction,
      ),
    );

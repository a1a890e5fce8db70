import { Command } from 'commander';
import { lazily, type Terminal } from '../context.js';
import { withInputOptions } from '../input-options.js';

export const measureCommand = (terminal: Terminal): Command =>
  withInputOptions(
    new Command('measure')
      .argument(
        '<model>',
        'a TensorFlow Lite file; or an ONNX file with the files beside it that it names, or a .zip of them',
      )
      .requiredOption('-d, --device <id>', 'where to measure')
      .option('-p, --protocol <name>', 'how to measure: quick, search or careful', 'search'),
  ).action(lazily(terminal, async () => (await import('../actions/measure.js')).measureAction));

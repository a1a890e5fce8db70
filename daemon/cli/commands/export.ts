import { Command, Option } from 'commander';
import { withCalibrationOptions } from '../calibration-options.js';
import { lazily, type Terminal } from '../context.js';
import { withInputOptions } from '../input-options.js';

export const exportCommand = (terminal: Terminal): Command =>
  withInputOptions(
    withCalibrationOptions(
      new Command('export')
        .argument(
          '<model>',
          'a TensorFlow Lite file; or an ONNX file with the files beside it that it names, or a .zip of them',
        )
        .addOption(new Option('-f, --format <format>', 'what to write').choices(['c']).default('c'))
        .option(
          '-b, --board <name>',
          'a board of profiles/boards, for its fast kernels and its limits (default: any core)',
        )
        .option('-n, --name <name>', "beginning of all names in C (default: the file's name)")
        .option('-o, --out <folder>', 'where NAME.c and NAME.h go', '.'),
    ),
  ).action(lazily(terminal, async () => (await import('../actions/export.js')).exportAction));

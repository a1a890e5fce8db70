import { Command } from 'commander';
import { withCalibrationOptions } from '../calibration-options.js';
import { lazily, type Terminal } from '../context.js';
import { withInputOptions } from '../input-options.js';
import { trialNumber } from '../trial-number.js';

export const deployCommand = (terminal: Terminal): Command =>
  withInputOptions(
    withCalibrationOptions(
      new Command('deploy')
        .argument(
          '[model]',
          'a TensorFlow Lite file; or an ONNX file with the files beside it that it names, or a .zip of them',
        )
        .requiredOption('-d, --device <id>', 'the board')
        .option('--study <id>', 'in place of a model: a study, with the ranges that it scored with')
        .option('--trial <number>', 'which trial of it', trialNumber),
    ),
  ).action(lazily(terminal, async () => (await import('../actions/deploy.js')).deployAction));

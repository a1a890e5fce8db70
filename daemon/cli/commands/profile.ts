import { Command } from 'commander';
import { lazily, type Terminal } from '../context.js';
import { withInputOptions } from '../input-options.js';

export const profileCommand = (terminal: Terminal): Command =>
  withInputOptions(
    new Command('profile')
      .argument(
        '<model>',
        'a TensorFlow Lite file; or an ONNX file with the files beside it that it names, or a .zip of them',
      )
      .requiredOption('-d, --device <id>', 'where to profile'),
  ).action(lazily(terminal, async () => (await import('../actions/profile.js')).profileAction));

import { Command } from 'commander';
import { lazily, type Terminal } from '../context.js';

export const runCommand = (terminal: Terminal): Command =>
  new Command('run')
    .requiredOption('-d, --device <id>', 'the device')
    .requiredOption(
      '-i, --input <file...>',
      'what it is run on: .npy, .npz, .json or a float32 file, row-major; INPUT=FILE where there are several inputs',
    )
    .action(lazily(terminal, async () => (await import('../actions/run.js')).runAction));

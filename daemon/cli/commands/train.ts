import { Command } from 'commander';
import { profilesDir } from '../../process/installation.js';
import { lazily, type Terminal } from '../context.js';

export const trainCommand = (terminal: Terminal): Command =>
  new Command('train')
    .argument('<spec>', 'a YAML or JSON file: docs/training.md')
    .option('-w, --work <folder>', 'for the checkpoint and weights.safetensors (default train/<space>)')
    .option('--profiles <folder>', 'where spaces are looked up', profilesDir)
    .option('-t, --threads <count>', 'threads of one operator; another count rounds differently', '2')
    .action(lazily(terminal, async () => (await import('../actions/train.js')).trainAction));

import { Command } from 'commander';
import { profilesDir } from '../../../process/installation.js';
import { lazily, type Terminal } from '../../context.js';

export const searchGradientCommand = (terminal: Terminal): Command =>
  new Command('gradient')
    .description("ProxylessNAS's gradient search: one winner for each target's latency table (no daemon)")
    .argument('<spec>', 'a YAML or JSON file: docs/training.md')
    .option('--profiles <folder>', 'where spaces and super-networks are looked up', profilesDir)
    .option('-t, --threads <count>', 'threads of one operator', '2')
    .option('-o, --out <folder>', 'where each winner is written as <target>.onnx, with its weights')
    .action(
      lazily(terminal, async () => (await import('../../actions/search/gradient.js')).searchGradientAction),
    );

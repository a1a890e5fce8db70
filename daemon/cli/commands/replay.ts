import { Command } from 'commander';
import { lazily, type Terminal } from '../context.js';
import { wholeNumber } from '../whole-number.js';

export const replayCommand = (terminal: Terminal): Command =>
  new Command('replay')
    .argument('<file>', 'a journal of `hilda record export`')
    .option('--until <number>', 'work on no trial or case after this one', (text: string) =>
      wholeNumber(text, 'until', 0, 10_000_000),
    )
    .option('--keep <folder>', 'keep the replayed rows in a new data folder')
    .option('--any-version', 'replay what another version of hilda recorded')
    .action(lazily(terminal, async () => (await import('../actions/record/replay.js')).replayAction));

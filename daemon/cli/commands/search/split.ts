import { Command } from 'commander';
import { lazily, type Terminal } from '../../context.js';
import { withWinnerOptions } from '../../winners.js';

export const searchSplitCommand = (terminal: Terminal): Command =>
  withWinnerOptions(
    new Command('split')
      .description('one study for each part of a space, then the best front member of all within limits')
      .argument('<spec>', 'a study specification with `spaces: [A, B, C]` in place of `space`'),
  ).action(lazily(terminal, async () => (await import('../../actions/search/split.js')).searchSplitAction));

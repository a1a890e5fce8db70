import { Command } from 'commander';
import { act, type Terminal } from '../../context.js';
import { resolveId } from '../../resolve-id.js';
import {
  bestWithin,
  describeWinner,
  type WinnerOptions,
  winnerGoal,
  withWinnerOptions,
} from '../../winners.js';

export const searchWinnerCommand = (terminal: Terminal): Command =>
  withWinnerOptions(
    new Command('winner')
      .description(
        'the best front member of several studies within limits, e.g. of a space split into sub-spaces',
      )
      .argument('<studies...>', 'their ids'),
  ).action(
    act(terminal, async (context, studies: string[], options: WinnerOptions) => {
      winnerGoal(options);
      const fronts = await Promise.all(
        studies.map(async (word) => {
          const study = await resolveId('study', word, context);
          return (await context.client.front(study, context)).map((row) => ({ study, ...row }));
        }),
      );
      const won = await bestWithin(fronts.flat(), options, context);
      context.answer('winner', { ...won }, () => describeWinner(won, options));
    }),
  );

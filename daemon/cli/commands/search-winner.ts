import { Command } from 'commander';
import { HildaError } from '../../core/errors.js';
import { act, type Terminal } from '../context.js';
import { formatMetric } from '../format.js';
import { type Limit, parseLimit, winner } from '../winners.js';

interface Options {
  readonly limit: Limit[];
  readonly best: string;
  readonly goal: string;
}

export const searchWinnerCommand = (terminal: Terminal): Command =>
  new Command('winner')
    .description(
      'the best front member of several studies within limits, e.g. of a space split into sub-spaces',
    )
    .argument('<studies...>', 'their ids')
    .option('-l, --limit <limit>', 'such as "latencyUs<=2000"; may be given again', collect, [] as Limit[])
    .option('-b, --best <metric>', 'which metric decides', 'accuracy')
    .option('-g, --goal <goal>', 'max or min', 'max')
    .action(
      act(terminal, async (context, studies: string[], { limit, best, goal }: Options) => {
        if (goal !== 'max' && goal !== 'min')
          throw new HildaError('USAGE_INVALID', `--goal: ${goal} is neither max nor min`);
        const rows = (
          await Promise.all(
            studies.map(async (study) =>
              (await context.client.front(study, context)).map((row) => ({ study, ...row })),
            ),
          )
        ).flat();
        const chosen = winner(rows, limit, { metric: best, goal });
        if (!chosen)
          throw new HildaError(
            'SPACE_INFEASIBLE',
            `no front member of ${studies.join(', ')} is within the limits`,
          );
        context.answer('winner', { winner: chosen }, () =>
          [
            `trial ${chosen.trialNumber} of ${chosen.study}`,
            ...Object.entries(chosen.values).map(
              ([metric, value]) => `  ${metric} ${formatMetric(metric, value)}`,
            ),
          ].join('\n'),
        );
      }),
    );

const collect = (text: string, before: Limit[]): Limit[] => [...before, parseLimit(text)];

import { Command } from 'commander';
import { act, type Terminal } from '../../context.js';
import { describeStudy } from '../../describe.js';
import { resolveId } from '../../resolve-id.js';

export const searchShowCommand = (terminal: Terminal): Command =>
  new Command('show')
    .description('a study: how far it is and how good its front')
    .argument('<study>', 'its id')
    .action(
      act(terminal, async (context, id: string) => {
        const { record: study, ...progress } = await context.client.study(
          await resolveId('study', id, context),
          context,
        );
        context.answer('study', { study, progress }, () =>
          describeStudy({ record: study, ...progress }, terminal),
        );
      }),
    );

import { Command } from 'commander';
import { act, type Terminal } from '../../context.js';
import { resolveId } from '../../resolve-id.js';

export const searchActionCommand = (
  terminal: Terminal,
  action: 'pause' | 'resume' | 'stop',
  description: string,
): Command =>
  new Command(action)
    .description(description)
    .argument('<study>', 'its id')
    .action(
      act(terminal, async (context, id: string) => {
        const study = await context.client.act(await resolveId('study', id, context), action, context);
        const catchesUp = action === 'resume' && study.state === 'completed';
        context.answer('study', { study }, () =>
          catchesUp
            ? `${study.id} is ${study.state}; what its devices missed is measured on those that are here`
            : `${study.id} is ${study.state}`,
        );
      }),
    );

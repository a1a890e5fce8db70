import { Command } from 'commander';
import { act, type Terminal } from '../context.js';

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
        const study = await context.client.act(id, action, context);
        context.answer('study', { study }, () => `${study.id} is ${study.state}`);
      }),
    );

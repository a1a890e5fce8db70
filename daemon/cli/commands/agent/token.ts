import { Command } from 'commander';
import { act, type Terminal } from '../../context.js';

export const agentTokenCommand = (terminal: Terminal): Command =>
  new Command('token')
    .description('let another machine join: prints the command to run there, good for ten minutes')
    .action(
      act(terminal, async (context) => {
        const invitation = await context.client.invite('agent', context);
        context.answer('invitation', { ...invitation }, () =>
          invitation.addresses
            .map(({ url, note, pin }) => {
              const pinned = pin === null ? '' : ` --pin ${pin}`;
              return `hilda agent join ${url} --token ${invitation.token}${pinned}\n  ${note}`;
            })
            .join('\n'),
        );
      }),
    );

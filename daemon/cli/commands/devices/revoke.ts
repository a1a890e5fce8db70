import { Command } from 'commander';
import { act, type Terminal } from '../../context.js';
import { resolveId } from '../../resolve-id.js';

export const devicesRevokeCommand = (terminal: Terminal): Command =>
  new Command('revoke')
    .description('cut off for good a page or agent that joined')
    .argument('<joiner>', 'its id, e.g. browser-3f2a91 or agent-71c0de')
    .action(
      act(terminal, async (context, id: string) => {
        const joiner = await context.client.revoke(await resolveId('joiner', id, context), context);
        context.answer('joiner', { joiner }, () => `${joiner.id} is revoked`);
      }),
    );

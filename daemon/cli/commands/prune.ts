import { Command } from 'commander';
import { act, type Terminal } from '../context.js';

export const pruneCommand = (terminal: Terminal): Command =>
  new Command('prune').option('--dry-run', 'only say what would be forgotten').action(
    act(terminal, async (context, { dryRun = false }: { readonly dryRun?: boolean }) => {
      const forgotten = await context.client.prune({ dryRun }, context);
      const { events, eventsKept, devices, deviceIds } = forgotten;
      context.answer('prune', { ...forgotten }, () =>
        [
          `${dryRun ? 'would forget' : 'forgot'} ${events} events and ${devices} devices; ${eventsKept} events stay`,
          ...deviceIds.map((id) => `  ${id}`),
          ...(devices > deviceIds.length ? [`  and ${devices - deviceIds.length} more`] : []),
        ].join('\n'),
      );
    }),
  );

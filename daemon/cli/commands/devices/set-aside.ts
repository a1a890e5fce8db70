import { Command } from 'commander';
import { act, type Terminal } from '../../context.js';
import { resolveId } from '../../resolve-id.js';

const description = {
  ignore: 'leave a device alone: it is not ours',
  quarantine: 'take a device that is not to be trusted out of use',
} as const;

/** `hilda devices ignore` and `hilda devices quarantine`; `adopt` takes a device back. */
export const devicesSetAsideCommand = (terminal: Terminal, how: keyof typeof description): Command =>
  new Command(how)
    .description(description[how])
    .argument('<device>', 'its id')
    .option('--reason <text>', 'shown to people')
    .action(
      act(terminal, async (context, id: string, { reason = null }: { readonly reason?: string | null }) => {
        const device = await context.client.setAside(
          await resolveId('device', id, context),
          how,
          reason,
          context,
        );
        context.answer('device', { device }, () => `${device.id} is ${device.state}`);
      }),
    );

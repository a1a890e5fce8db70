import { Command } from 'commander';
import { act, type Terminal } from '../context.js';
import { formatTime } from '../format.js';

export const devicesListCommand = (terminal: Terminal): Command =>
  new Command('list')
    .description('devices ever seen; --discover looks again first')
    .option('--discover', 'look for devices now')
    .action(
      act(terminal, async (context, { discover }: { readonly discover?: boolean }) => {
        const found = discover
          ? await context.client.discover(context)
          : { devices: await context.client.devices(context), obstacles: {} };
        const { devices, obstacles } = found;
        for (const [id, obstacle] of Object.entries(obstacles)) terminal.note(`${id}: ${obstacle}`);
        context.answerTable(
          'devices',
          { devices, obstacles },
          [
            { title: 'DEVICE', value: (d) => d.id },
            { title: 'STATE', value: (d) => (d.lease ? `in use by ${d.lease.holder}` : d.state) },
            { title: 'NOW', value: (d) => (d.present ? (d.obstacle ? 'blocked' : 'here') : 'away') },
            { title: 'KIND', value: (d) => d.kind },
            { title: 'PROVIDER', value: (d) => d.target.provider },
            { title: 'LAST SEEN', value: (d) => formatTime(d.lastSeenMs) },
            { title: 'MODEL', value: (d) => d.label },
            { title: 'TAGS', value: (d) => d.tags.join(' ') },
          ],
          devices,
          'No device was seen yet. Run `hilda devices list --discover`.',
        );
      }),
    );

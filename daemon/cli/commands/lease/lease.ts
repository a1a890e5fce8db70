import { userInfo } from 'node:os';
import { Command } from 'commander';
import { HildaError } from '../../../core/errors.js';
import { act, type CliContext, type Terminal } from '../../context.js';
import { formatTime } from '../../format.js';
import { resolveId } from '../../resolve-id.js';
import { wholeNumber } from '../../whole-number.js';

type Lease = Awaited<ReturnType<CliContext['client']['leases']>>[number];

const minutes = (text: string): number => wholeNumber(text, 'ttl', 1, 24 * 60);
const described = ({ deviceId, holder, expiresMs }: Lease): string =>
  `${deviceId} is held by ${holder} until ${formatTime(expiresMs)} UTC.`;

interface AcquireOptions {
  readonly wait?: boolean;
  readonly ttl: number;
  readonly name: string;
}

/** The present lease of a device. A person who reaches the daemon may end it. */
async function leaseOf(word: string, context: CliContext): Promise<Lease> {
  const id = await resolveId('device', word, context);
  const lease = (await context.client.leases(context)).find(({ deviceId }) => deviceId === id);
  if (lease) return lease;
  throw new HildaError('NOT_FOUND', `nobody holds the device ${id}`, { hint: 'See `hilda lease list`.' });
}

export const leaseCommand = (terminal: Terminal): Command =>
  new Command('lease')
    .addCommand(
      new Command('acquire')
        .description('hold a device: no job runs there until it is released or the lease has run out')
        .argument('<device>', 'its id, pool=DEVICE, target=MODEL or tag=TAG')
        .option('--wait', 'wait in line for it, as jobs do')
        .option('--ttl <minutes>', 'how long it lasts unless it is renewed', minutes, 10)
        .option('--name <name>', 'whose it is', userInfo().username)
        .action(
          act(terminal, async (context, word: string, { wait = false, ttl, name }: AcquireOptions) => {
            const device = await resolveId('device', word, context);
            const request = { device, name, ttlMs: ttl * 60_000, wait };
            const lease = await context.client.acquireLease(request, context);
            context.answer('lease', { lease }, () => described(lease));
          }),
        ),
    )
    .addCommand(
      new Command('renew')
        .description('hold a device for longer')
        .argument('<device>', 'its id')
        .option('--ttl <minutes>', 'how long from now', minutes, 10)
        .action(
          act(terminal, async (context, word: string, { ttl }: { readonly ttl: number }) => {
            const { deviceId, token } = await leaseOf(word, context);
            const lease = await context.client.renewLease(deviceId, { token, ttlMs: ttl * 60_000 }, context);
            context.answer('lease', { lease }, () => described(lease));
          }),
        ),
    )
    .addCommand(
      new Command('release')
        .description('give a device back to the jobs')
        .argument('<device>', 'its id')
        .action(
          act(terminal, async (context, word: string) => {
            const { deviceId, token } = await leaseOf(word, context);
            const lease = await context.client.releaseLease(deviceId, { token }, context);
            context.answer('lease', { lease }, () => `${deviceId} is free again.`);
          }),
        ),
    )
    .addCommand(
      new Command('list').description('devices that people and scripts hold').action(
        act(terminal, async (context) => {
          const leases = await context.client.leases(context);
          context.answerTable(
            'leases',
            { leases },
            [
              { title: 'DEVICE', value: (lease: Lease) => lease.deviceId },
              { title: 'HOLDER', value: (lease: Lease) => lease.holder },
              { title: 'UNTIL', value: (lease: Lease) => formatTime(lease.expiresMs) },
            ],
            leases,
            'No device is held by a person or a script.',
          );
        }),
      ),
    );

import { Command } from 'commander';
import type { DaemonClient } from '../../../api/client.js';
import { act, type Terminal } from '../../context.js';
import { presentWord } from '../../describe.js';
import { formatTime } from '../../format.js';
import { toneOfState } from '../../terminal/layout.js';

export const devicesListCommand = (terminal: Terminal): Command =>
  new Command('list')
    .description('devices ever seen; --discover looks again first')
    .option('--discover', 'look for devices now')
    .action(
      act(terminal, async (context, { discover }: { readonly discover?: boolean }) => {
        const found = discover
          ? await context.client.discover(context)
          : { ...(await context.client.fleet(context)), obstacles: {} };
        const { devices, obstacles, unusable } = found;
        for (const { kind, obstacle } of unusable)
          terminal.note(`devices of the kind ${kind} cannot be used: ${obstacle}`);
        for (const [id, obstacle] of Object.entries(obstacles)) terminal.note(`${id}: ${obstacle}`);
        const joiners = await context.client.joiners(context);
        for (const [came, left] of lookAlikes(devices, joiners))
          terminal.note(
            `${came} looks like ${left}, which is away. If it is the same phone and lost its key, give it its name back: \`hilda devices pair --as ${left}\`.`,
          );
        context.answerTable(
          'devices',
          { devices, obstacles, unusable },
          [
            { title: 'DEVICE', value: (d) => d.id },
            {
              title: 'STATE',
              value: (d) => (d.lease ? `in use by ${d.lease.holder}` : d.state),
              tone: toneOfState,
            },
            {
              title: 'NOW',
              value: (d) => (d.present ? (d.obstacle ? 'blocked' : presentWord(d.line)) : 'away'),
              tone: toneOfState,
            },
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

type Listed = Pick<
  Awaited<ReturnType<DaemonClient['devices']>>[number],
  'id' | 'kind' | 'label' | 'present' | 'firstSeenMs' | 'state'
>;
type Joiner = Pick<Awaited<ReturnType<DaemonClient['joiners']>>[number], 'id' | 'state'>;

/**
 * Pages that are here under an id of their own while an older one that calls itself the same is away: maybe one phone that
 * could not keep its key. Only a person can tell. A key that was revoked can be given to nobody, and whom people set aside they
 * have judged already.
 */
export function lookAlikes(
  devices: readonly Listed[],
  joiners: readonly Joiner[],
): [came: string, left: string][] {
  const active = new Set(joiners.filter(({ state }) => state === 'active').map(({ id }) => id));
  const pages = devices.filter(
    ({ id, kind, state }) =>
      kind === 'browser' && /^browser-[0-9a-f]+$/.test(id) && state !== 'ignored' && state !== 'quarantined',
  );
  return pages
    .filter(({ present }) => present)
    .flatMap(({ id, label, firstSeenMs }) => {
      const older = pages.filter(
        (one) => !one.present && one.label === label && one.firstSeenMs < firstSeenMs && active.has(one.id),
      );
      return older.map((one): [string, string] => [id, one.id]);
    });
}

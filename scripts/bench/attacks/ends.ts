import { readdir, readFile, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../../daemon/core/clock.js';
import type { Attack, Outcome } from './attack.js';
import { type AttackedDaemon, exitOf } from './attacked-daemon.js';
import { rightChain } from './models.js';

/** Processes whose working folder or command names the daemon's program, and that it started. */
async function childrenOf(pid: number): Promise<string[]> {
  const lives: string[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (Number(fields[1]) === pid && fields[0] !== 'Z') lives.push(`${name}@${fields[19]}`);
  }
  return lives;
}

async function isAlive(life: string): Promise<boolean> {
  const [pid, start] = life.split('@');
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[19] === start && fields[0] !== 'Z';
}

/** A measurement under way on the first device whose id matches. */
async function measuring(daemon: AttackedDaemon, pattern: RegExp): Promise<void> {
  const { devices } = (await (await daemon.fetch('/devices')).json()) as { devices: { id: string }[] };
  const device = devices.find(({ id }) => pattern.test(id))?.id ?? '';
  await daemon.post(`/devices/${device}/adopt`, {});
  const { sha256 } = (await (await daemon.post('/models', rightChain(10))).json()) as { sha256: string };
  await daemon.post('/measurements?wait=false', { model: sha256, device, protocol: 'careful' });
}

/** Ends of the daemon's life, and what it leaves or finds. Each is judged on a daemon that has ended. */
export const ends: readonly Attack[] = [
  ...(['SIGKILL', 'SIGTERM'] as const).flatMap((signal) =>
    [/cpu/, /emulated-mps2/].map(
      (pattern): Attack => ({
        kind: 'orphans',
        name: `${signal} while ${pattern.source} measures`,
        ends: true,
        run: async (daemon) => {
          await measuring(daemon, pattern);
          let children: string[] = [];
          for (let i = 0; i < 200 && children.length === 0; i++) {
            await systemClock.sleep(50);
            children = await childrenOf(daemon.pid);
          }
          if (children.length === 0) return { code: null, note: 'nothing was started' };
          daemon.signal(signal);
          await daemon.ended;
          for (let i = 0; i < 100; i++) {
            const left = await Promise.all(children.map(isAlive));
            if (left.every((one) => !one)) return { code: 'ALL ENDED' };
            await systemClock.sleep(100);
          }
          return { code: null, note: 'a child lives on' };
        },
      }),
    ),
  ),
  {
    kind: 'store',
    name: 'a second daemon on the same data folder',
    run: async ({ dataDir }) => {
      const { code, err } = await exitOf(['up', '--port', '0', '--data', dataDir]);
      return code !== 0 && err.includes('STORE_BUSY')
        ? { code: 'STORE_BUSY' }
        : { code: null, note: err.slice(-200) };
    },
  },
  {
    kind: 'store',
    name: 'a database that was emptied',
    ends: true,
    run: (daemon) => afterEnd(daemon, (folder) => truncate(join(folder, 'hilda.sqlite'), 0), 'STORE_CORRUPT'),
  },
];

/** What a second daemon says of a folder that was changed behind the first one's back. */
async function afterEnd(
  daemon: AttackedDaemon,
  change: (folder: string) => Promise<void>,
  expected: string,
): Promise<Outcome> {
  daemon.signal('SIGTERM');
  await daemon.ended;
  await change(daemon.dataDir);
  const { code, err } = await exitOf(['up', '--port', '0', '--data', daemon.dataDir]);
  return code !== 0 && err.includes(expected) ? { code: expected } : { code: null, note: err.slice(-200) };
}

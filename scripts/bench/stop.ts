/**
 * `npm run bench -- stop [--rounds 3] [--studies 12] [--readers 100] [--settle 20000]`: starts a real daemon, loads it with
 * studies on the host and emulated boards, a predictor's training, an upload that never ends, readers of events and requests,
 * and sends SIGTERM. Tells how long the process took to end, its exit code and what it left running. The last line is one JSON
 * object.
 */
import { mkdtemp, readdir, readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { WebSocket } from 'ws';
import { localTokenFor } from '../../daemon/access/local-token.js';
import { systemClock } from '../../daemon/core/clock.js';
import { AttackedDaemon } from './attacks/attacked-daemon.js';

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    studies: { type: 'string', default: '12' },
    readers: { type: 'string', default: '100' },
    settle: { type: 'string', default: '20000' },
  },
});

/** A process by its id and the time it started at: ids come again. */
type Life = string;

async function processes(): Promise<Map<number, { readonly parent: number; readonly life: Life }>> {
  const found = new Map<number, { parent: number; life: Life }>();
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields.length < 20 || fields[0] === 'Z') continue;
    found.set(Number(name), { parent: Number(fields[1]), life: `${name}@${fields[19]}` });
  }
  return found;
}

async function descendants(pid: number): Promise<Set<Life>> {
  const all = await processes();
  const lives = new Set<Life>();
  let parents = new Set([pid]);
  while (parents.size > 0) {
    const next = new Set<number>();
    for (const [id, { parent, life }] of all) {
      if (!parents.has(parent)) continue;
      next.add(id);
      lives.add(life);
    }
    parents = next;
  }
  return lives;
}

async function adopted(daemon: AttackedDaemon): Promise<string[]> {
  const { devices } = (await (await daemon.fetch('/devices')).json()) as { devices: { id: string }[] };
  const ids = devices.map(({ id }) => id).filter((id) => /cpu|emulated/.test(id));
  for (const id of ids) await daemon.post(`/devices/${id}/adopt`, {});
  return ids;
}

const codesOf = async (responses: readonly Promise<Response>[]): Promise<Record<string, number>> => {
  const counts: Record<string, number> = {};
  for (const response of await Promise.all(responses))
    counts[response.status] = (counts[response.status] ?? 0) + 1;
  return counts;
};

async function load(daemon: AttackedDaemon): Promise<{ readonly asked: object; end(): void }> {
  const devices = await adopted(daemon);
  const host = devices.find((id) => id.includes('cpu')) ?? '';
  const boards = devices.filter((id) => id.startsWith('emulated'));
  const study = (i: number) => ({
    name: `load ${i}`,
    space: 'mbconv-fmnist',
    sampler: { name: 'random' },
    ...(i % 3 === 0 && { evaluator: { kind: 'supernet', deployedImages: 100 } }),
    ...(i % 3 === 1 && { evaluator: { kind: 'command', command: ['/bin/sh', '-c', 'sleep 300'] } }),
    devices: i % 2 === 0 ? [host] : [host, ...boards.slice(i % boards.length, (i % boards.length) + 1)],
    objectives: [
      { metric: 'latencyUs', goal: 'min' },
      ...(i % 3 < 2 ? [{ metric: 'accuracy', goal: 'max' }] : []),
    ],
    protocol: 'search',
    budget: { trials: 500 },
    seed: i,
  });
  const studies = await codesOf(
    Array.from({ length: Number(flags.studies) }, (_, i) => daemon.post('/studies', study(i))),
  );
  const campaign = await daemon.post('/campaigns', { device: host, space: 'mbconv-fmnist', samples: 500 });
  const token = (await localTokenFor(daemon.url)) ?? '';
  const headers = { authorization: `Bearer ${token}` };
  const sockets = Array.from({ length: Number(flags.readers) }, () => {
    const socket = new WebSocket(`${daemon.url.replace('http', 'ws')}/v1/ws`, { headers });
    socket.on('error', () => {});
    socket.on('message', () => {});
    socket.once('open', () =>
      socket.send('{"op":"sub","topics":["devices","jobs","measurements","study.*"],"since":0}'),
    );
    return socket;
  });
  // Half an upload, whose client goes on at its own pace.
  const { port } = new URL(daemon.url);
  const upload = connect(Number(port), '127.0.0.1').on('error', () => {});
  upload.write(
    `POST /v1/models HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/octet-stream\r\nContent-Length: 100000000\r\n\r\n`,
  );
  let isLoading = true;
  const trickle = async (): Promise<void> => {
    while (isLoading && !upload.destroyed) {
      upload.write(Buffer.alloc(100_000));
      await systemClock.sleep(50);
    }
  };
  const read = async (): Promise<void> => {
    while (isLoading) {
      await daemon.fetch('/studies').then(
        (response) => response.arrayBuffer(),
        () => null,
      );
      await systemClock.sleep(20);
    }
  };
  void trickle();
  for (let i = 0; i < 5; i++) void read();
  return {
    asked: { devices: devices.length, studies, campaign: campaign.status },
    end: () => {
      isLoading = false;
      upload.destroy();
      for (const socket of sockets) socket.terminate();
    },
  };
}

interface Round {
  readonly ms: number;
  readonly code: number | string;
  readonly orphans: number;
  readonly children: number;
}

async function round(): Promise<Round> {
  const daemon = await AttackedDaemon.start(await mkdtemp(join(tmpdir(), 'hilda-stop-')));
  try {
    const { asked, end } = await load(daemon);
    await systemClock.sleep(Number(flags.settle));
    const children = await descendants(daemon.pid);
    const startUs = systemClock.monotonicUs();
    daemon.signal('SIGTERM');
    const code = await Promise.race([daemon.ended, systemClock.sleep(120_000).then(() => 'still running')]);
    const ms = (systemClock.monotonicUs() - startUs) / 1000;
    end();
    // A child that was told to end has a moment.
    await systemClock.sleep(500);
    const left = new Set([...(await processes()).values()].map(({ life }) => life));
    const orphans = [...children].filter((life) => left.has(life)).length;
    console.error(
      JSON.stringify({ asked, ms, code, children: children.size, orphans }),
      daemon.log.slice(-600),
    );
    return { ms, code, orphans, children: children.size };
  } finally {
    await daemon.stop();
  }
}

const rounds: Round[] = [];
for (let i = 0; i < Number(flags.rounds); i++) rounds.push(await round());
const longestMs = Math.max(...rounds.map(({ ms }) => ms));
const codes = [...new Set(rounds.map(({ code }) => code))];
const orphans = rounds.reduce((sum, one) => sum + one.orphans, 0);
const children = Math.max(...rounds.map((one) => one.children));
console.log(JSON.stringify({ bench: 'stop', rounds: rounds.length, longestMs, codes, children, orphans }));
process.exit(longestMs <= 5000 && codes.join() === '0' && orphans === 0 ? 0 : 1);

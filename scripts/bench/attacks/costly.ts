import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../../daemon/core/clock.js';
import { npyOf } from '../../../daemon/data/write-npy.js';
import { profilesDir } from '../../../daemon/process/installation.js';
import type { Attack, Outcome } from './attack.js';
import type { AttackedDaemon } from './attacked-daemon.js';
import { rightChain } from './models.js';

type Answer = Readonly<Record<string, unknown>>;

/** That it is answered is no success of the attack: what counts is that others are answered meanwhile. */
async function served(response: Response): Promise<Outcome> {
  const { code = 'ANSWERED', detail = '' } = (await response.json().catch(() => ({}))) as Answer;
  const note = `${response.status} ${String(detail).slice(0, 200)}`;
  return { code: code === 'INTERNAL' ? null : String(code), note };
}

const costly = (name: string, run: (daemon: AttackedDaemon) => Promise<Response>): Attack => ({
  kind: 'costly requests',
  name,
  run: async (daemon) => served(await run(daemon)),
});

/** A device, adopted. */
async function adopted(daemon: AttackedDaemon, pattern = /cpu/): Promise<string> {
  const { devices } = (await (await daemon.fetch('/devices')).json()) as { devices: { id: string }[] };
  const id = devices.find((one) => pattern.test(one.id))?.id ?? '';
  await daemon.post(`/devices/${id}/adopt`, {});
  return id;
}

async function uploaded(
  daemon: AttackedDaemon,
  what: 'models' | 'blobs',
  bytes: Uint8Array,
): Promise<string> {
  return ((await (await daemon.post(`/${what}`, bytes)).json()) as { sha256: string }).sha256;
}

const shipped = (name: string): Answer =>
  JSON.parse(readFileSync(join(profilesDir, 'spaces', `${name}.json`), 'utf8')) as Answer;

/** What the daemon does of its own after the answer is watched for a while. */
const watchedMs = 10_000;

const space = (name: string, change: (file: Answer) => object, from: string): Attack =>
  costly(`a space of ${name}`, async (daemon) => {
    const device = await adopted(daemon);
    const response = await daemon.post('/campaigns', { device, space: change(shipped(from)), samples: 100 });
    await systemClock.sleep(watchedMs);
    return response;
  });

const study = (name: string, fields: object): Attack =>
  costly(name, async (daemon) => {
    const response = await daemon.post('/studies', {
      name: 'a',
      space: 'mbconv-fmnist',
      sampler: { name: 'random' },
      devices: [await adopted(daemon)],
      objectives: [{ metric: 'latencyUs', goal: 'min' }],
      protocol: 'quick',
      budget: { trials: 1_000_000 },
      batch: 1000,
      ...fields,
    });
    if (response.ok) await systemClock.sleep(watchedMs);
    return response;
  });

/** Requests of some kilobytes that ask for much work of the daemon's own. */
export const costlyRequests: readonly Attack[] = [
  space(
    '65,536 values in a layer',
    (file) => ({ ...file, widths: [65_536], bottlenecks: [65_536], depths: [32] }),
    'hourglass-mlp',
  ),
  space(
    '144 layers of 4,096 channels',
    (file) => ({
      ...file,
      stages: Array.from({ length: 12 }, () => ({ width: 4096, layers: 12, stride: 1 })),
      headWidth: 4096,
    }),
    'mbconv-fmnist',
  ),
  space('16 million tokens', (file) => ({ ...file, input: [1, 4096, 4096], patches: [1] }), 'vit-fmnist'),
  study('a population of 100,000', { sampler: { name: 'nsga2', options: { population: 100_000 } } }),
  study('20,000 limits', {
    constraints: Array.from({ length: 20_000 }, () => ({ metric: 'macs', max: 1e12 })),
  }),
  costly('60 studies at once', async (daemon) => {
    const devices = [await adopted(daemon)];
    const spec = { name: 'a', space: 'mbconv-fmnist', sampler: { name: 'random' }, devices };
    const one = { ...spec, protocol: 'quick', budget: { trials: 100 } };
    const all = await Promise.all(Array.from({ length: 60 }, () => daemon.post('/studies', one)));
    return all.find(({ ok }) => !ok) ?? (all[0] as Response);
  }),
  costly('a table of a megabyte in one line', async (daemon) =>
    daemon.post('/predictors/import', {
      files: [{ name: 'a', text: 'a'.repeat(900_000) }],
      format: 'ofa',
      device: await adopted(daemon),
      space: 'ofa-mobilenetv3',
    }),
  ),
  costly('a bound of 15,000 letters', async (daemon) => {
    const made = await daemon.post('/studies', {
      name: 'a',
      space: 'mbconv-fmnist',
      sampler: { name: 'external' },
      evaluator: { kind: 'external' },
      devices: [await adopted(daemon)],
      budget: { trials: 10 },
    });
    const { id } = (await made.json()) as { id: string };
    return daemon.fetch(`/studies/${id}/trials?where=${'a'.repeat(15_000)}`);
  }),
  costly('64 million bytes as integers of 32 bits', async (daemon) => {
    const bytes = npyOf(new Uint8Array(63 * 2 ** 20), 'uint8', [63 * 2 ** 20]);
    const [model, blob] = [
      await uploaded(daemon, 'models', rightChain(1)),
      await uploaded(daemon, 'blobs', bytes),
    ];
    const inputs = { x: { blob, format: 'npy' } };
    return daemon.post('/measurements', { model, device: await adopted(daemon), protocol: 'quick', inputs });
  }),
  costly('the description of the API, 500 times without a token', async (daemon) => {
    const ask = (): Promise<Response> => daemon.fetch('/openapi.json', {}, null);
    const all = await Promise.all(Array.from({ length: 500 }, ask));
    return all.find(({ ok }) => !ok) ?? (all[0] as Response);
  }),
  ...(
    [
      ['cpu', '/measurements'],
      ['emulated-mps2', '/deployments'],
    ] as const
  ).map(([kind, path]) =>
    costly(`90,000 operators for ${path}`, async (daemon) => {
      const device = await adopted(daemon, new RegExp(kind));
      return daemon.post(path, { model: await uploaded(daemon, 'models', rightChain(90_000)), device });
    }),
  ),
];

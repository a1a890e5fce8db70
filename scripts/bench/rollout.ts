/**
 * `npm run bench -- rollout [--devices 200] [--kills 10] [--seed 1] [--flash-ms 100]`: a network goes to virtual devices that run
 * an earlier version of it. Some of them are unplugged in the middle of their flash, answer wrongly, or are slower than promised;
 * the daemon is killed by SIGKILL at random moments, and started anew over the same folder.
 *
 * Bars: `halfDeployed` (flashes that hold no whole program, or another one than the daemon says) 0; `namedBad` equals `bad`;
 * `wronglyNamed` 0; `endedTwice` (devices whose way ended more than once) 0. The exit code is 1 where one is missed.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { DaemonClient } from '../../daemon/api/client.js';
import { systemClock } from '../../daemon/core/clock.js';
import { randomInt, shuffled, Xoshiro128 } from '../../daemon/core/rng.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { asRead, versionOf, weightsOf } from '../../test/rollouts/bench.js';
import {
  type Fault,
  type FlashDriverOptions,
  flashOf,
  programCrc,
} from '../../test/rollouts/flash-driver.js';
import type { LifeIsUp, LifeOrder } from '../../test/rollouts/life-child.js';

const { values: flags } = parseArgs({
  options: {
    devices: { type: 'string', default: '200' },
    kills: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
    'flash-ms': { type: 'string', default: '100' },
  },
});
const count = Number(flags.devices);
const kills = Number(flags.kills);
const rng = Xoshiro128.fromSeed(Number(flags.seed));
const { signal } = new AbortController();
const program = fileURLToPath(new URL('../../test/rollouts/life-child.js', import.meta.url));
const [first, second] = [versionOf(2), versionOf(3)];
const startMs = performance.now();

const ids = Array.from({ length: count }, (_, i) => `fake-${String(i).padStart(3, '0')}`);
const share = (of: number): number => Math.max(1, Math.round(of * count));
const drawn = shuffled(rng, ids.slice(1));
const kinds: readonly (readonly [Fault, number])[] = [
  ['unplugged', share(0.05)],
  ['wrong', share(0.05)],
  ['slow', share(0.05)],
];
const faults: Record<string, Fault> = {};
for (const [fault, many] of kinds) for (const id of drawn.splice(0, many)) faults[id] = fault;
const codes: Readonly<Record<string, readonly string[]>> = {
  unplugged: ['DEVICE_GONE', 'DEVICE_FAILED'],
  wrong: ['SELF_TEST_FAILED'],
  slow: ['PROMISE_BROKEN'],
};

const home = await mkdtemp(join(tmpdir(), 'hilda-rollout-'));
const flash: FlashDriverOptions = {
  folder: join(home, 'flash'),
  ids,
  faults,
  goodWeights: weightsOf(first),
  flashMs: Number(flags['flash-ms']),
  awayMs: 400,
};

interface Life {
  readonly child: ChildProcess;
  readonly client: DaemonClient;
}

async function begin(): Promise<Life> {
  const child = fork(program, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const up = new Promise<LifeIsUp>((resolve, reject) => {
    child.once('message', (message) => resolve(message as LifeIsUp));
    child.once('exit', (code) => reject(new Error(`the daemon ended with ${code}`)));
  });
  child.send({ dataDir: join(home, 'data'), flash } satisfies LifeOrder);
  const { url, token } = await up;
  return { child, client: new DaemonClient(url, { token }) };
}

async function kill({ child }: Life): Promise<void> {
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGKILL');
  await ended;
}

let life = await begin();
let struck = 0;
try {
  for (const { id } of await life.client.devices({ signal })) await life.client.adopt(id, { signal });
  const { sha256: model1 } = await life.client.uploadModel(writeOnnx(first), { signal });
  const { sha256: model2 } = await life.client.uploadModel(writeOnnx(second), { signal });
  const asked = { model: model1, device: ids[0] as string, protocol: 'quick' };
  const job = await life.client.startMeasurement(asked, { signal });
  await life.client.ended(job, { signal, clock: systemClock, everyMs: 20 });
  const start = async (model: string, more: object) =>
    (await life.client.startRollout({ name: 'bench', model, devices: 'target=fake', ...more }, { signal }))
      .id;
  const isOver = async (id: string): Promise<boolean> =>
    (await life.client.rollout(id, { signal })).endedMs !== null;
  const ended = async (id: string): Promise<void> => {
    while (!(await isOver(id))) await systemClock.sleep(100);
  };
  const endedDevices = async (id: string): Promise<number> => {
    const { counts } = await life.client.rollout(id, { signal });
    return (counts.live ?? 0) + (counts.restored ?? 0) + (counts.failed ?? 0);
  };
  await ended(await start(model1, { waves: [count] }));
  console.error(`${count} devices run the first version`);

  const id = await start(model2, { waves: [5, '20%'], stop: { share: 0.5 }, atOnce: 10 });
  while (struck < kills && !(await isOver(id))) {
    // Spread over the whole rollout, each at a random moment of its part.
    const from = Math.floor(((struck + 0.8 * rng.next()) / kills) * count);
    while ((await endedDevices(id)) < from && !(await isOver(id))) await systemClock.sleep(5);
    await systemClock.sleep(randomInt(rng, 150));
    if (await isOver(id)) break;
    await kill(life);
    struck++;
    life = await begin();
    console.error(
      `killed ${struck} times: ${JSON.stringify((await life.client.rollout(id, { signal })).counts)}`,
    );
  }
  await ended(id);

  const devices = await life.client.rolloutDevices(id, undefined, { signal });
  const shown = new Map((await life.client.devices({ signal })).map((one) => [one.id, one.running]));
  const crcs = new Map([
    [1, programCrc(asRead(first))],
    [2, programCrc(asRead(second))],
  ]);
  const half: string[] = [];
  const named: string[] = [];
  const wronglyNamed: string[] = [];
  for (const { deviceId, step, reason } of devices) {
    const { holds, crc } = flashOf(flash.folder, deviceId);
    const version = shown.get(deviceId)?.version ?? 0;
    const should = step === 'live' ? 2 : 1;
    if (holds !== 'whole' || crc !== crcs.get(version) || version !== should) half.push(deviceId);
    if (step === 'live') continue;
    const fault = faults[deviceId];
    const isRight = fault !== undefined && step === 'restored' && codes[fault]?.includes(reason?.code ?? '');
    (isRight ? named : wronglyNamed).push(deviceId);
    if (!isRight) console.error(`${deviceId} (${fault}): ${step}, ${reason?.code}: ${reason?.message}`);
  }
  let keys = 0;
  const distinct = new Set<string>();
  for (const one of devices) {
    const steps = await life.client.deviceChanges(`/devices/${one.deviceId}`, 1000, { signal });
    for (const { rollout, step } of steps.changes)
      if (rollout === id && (step === 'live' || step === 'restored' || step === 'failed')) {
        keys++;
        distinct.add(one.deviceId);
      }
  }
  const bad = Object.keys(faults).length;
  const figures = {
    devices: count,
    bad,
    namedBad: named.length,
    wronglyNamed: wronglyNamed.length,
    live: devices.filter(({ step }) => step === 'live').length,
    halfDeployed: half.length,
    endedTwice: keys - distinct.size,
    kills: struck,
    seconds: Math.round((performance.now() - startMs) / 1000),
  };
  console.log(JSON.stringify({ bench: 'rollout', figures }));
  const isMet =
    half.length === 0 && named.length === bad && wronglyNamed.length === 0 && keys === distinct.size;
  process.exitCode = isMet && struck === kills ? 0 : 1;
} finally {
  await kill(life);
  await rm(home, { recursive: true, force: true, maxRetries: 3 });
}

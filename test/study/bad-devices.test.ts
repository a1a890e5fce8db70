import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { StoredJoinKeys } from '../../daemon/access/join-keys.js';
import { Agent } from '../../daemon/agent/agent.js';
import { systemClock } from '../../daemon/core/clock.js';
import { asHildaError } from '../../daemon/core/errors.js';
import type { DeviceId } from '../../daemon/core/ids.js';
import { AdbDriver } from '../../daemon/devices/adb/driver.js';
import { AgentDriver } from '../../daemon/devices/agent/driver.js';
import { AgentHub } from '../../daemon/devices/agent/hub.js';
import { agentProtocol } from '../../daemon/devices/agent/wire.js';
import { BrowserDriver } from '../../daemon/devices/browser/driver.js';
import { pageProtocol } from '../../daemon/devices/browser/wire.js';
import type { Connection } from '../../daemon/devices/connection.js';
import { OnnxRuntimeDriver } from '../../daemon/devices/onnxruntime/driver.js';
import { loadProtocol } from '../../daemon/measure/protocols.js';
import { structureHash } from '../../daemon/network/canonical-text.js';
import { connectWs } from '../../daemon/process/connect-ws.js';
import { openStore } from '../../daemon/store/open-store.js';
import { until } from '../agent/agent-bench.js';
import { openAdb } from '../android/adb-bench.js';
import { openPhone } from '../android/phone.js';
import { doublingNetwork } from '../contract/device-contract.js';
import { aPage, atRest, newInstance, openJoinBench } from '../devices/join-bench.js';
import { openBench, smallSpec } from './bench.js';
import { LeavingDriver } from './leaving-driver.js';

t.setTimeout(300_000);
const { signal } = new AbortController();
const clock = systemClock;

type Message = { readonly op: string; readonly [field: string]: unknown };
type Answer = (message: Message, say: (message: object | Uint8Array) => void) => void;

/** Someone who speaks as the test says. Resolves with the first message that is not a call of some work. */
async function speaker(t: Test, url: string, hello: object, answer: Answer = () => {}) {
  const connection: Connection = await connectWs(url, { signal });
  t.teardown(() => connection.close(1000, 'done'));
  const say = (message: object | Uint8Array): void =>
    connection.send(message instanceof Uint8Array ? message : JSON.stringify(message));
  const closed = new Promise<void>((resolve) => connection.onClose(() => resolve()));
  const first = new Promise<Message>((resolve) => {
    connection.onMessage((text) => {
      if (typeof text !== 'string') return;
      const message = JSON.parse(text) as Message;
      resolve(message);
      answer(message, say);
    });
  });
  say({ op: 'hello', ...newInstance(), ...hello });
  return { first: await first, closed, close: () => connection.close(1000, 'enough') };
}

t.test('a study goes on with its good device beside all kinds of bad ones', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'hilda-bad-'));
  const memory = await openStore({ dataDir: ':memory:', clock });
  const keys = new StoredJoinKeys(memory, clock);
  const agents = new AgentHub({ keys, clock, leaseMs: 1000, heartbeatMs: 200 });
  const { pages, port } = await openJoinBench(t, { keys, acceptAgent: (...whom) => agents.accept(...whom) });
  const [pageDoor, agentDoor] = ['join', 'agents/join'].map((at) => `ws://127.0.0.1:${port}/v1/${at}`) as [
    string,
    string,
  ];
  const { adb, server } = await openAdb(t);
  const runnerPath = join(folder, 'onnxruntime_perf_test');
  await writeFile(runnerPath, 'stands in for a program of the phone');
  const good = new LeavingDriver(['fake-0']);
  const bench = await openBench(folder, {}, () => [
    good,
    new OnnxRuntimeDriver({ provider: 'bogus' }),
    new BrowserDriver({ hub: pages }),
    new AgentDriver(agents),
    new AdbDriver({ adb: server, clock, pages, keys, joinPort: () => port, runners: [runnerPath] }),
  ]);
  const { store, pool, studies, jobs } = bench;
  t.teardown(async () => {
    await bench.close();
    await memory.close();
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  });

  // Pages: one that speaks out of turn, one that comes back in another version, one with a software adapter.
  const page = async (changes: object = {}, answer?: Answer) => {
    const { token } = await keys.issue('page');
    return speaker(
      t,
      pageDoor,
      { proto: pageProtocol, token, about: { ...aPage, ...changes }, state: atRest },
      answer,
    );
  };
  const hasty = await page({}, ({ op, id }, say) => {
    if (op === 'call') say({ op: 'reply', id: Number(id) + 1000, value: {} });
  });
  const outdated = await page();
  const software = await page({ gpu: { name: 'SwiftShader', software: true } });
  await until(() => pool.presence(outdated.first.id as DeviceId).present, 'it is recorded');
  outdated.close();
  await outdated.closed;
  const { key } = outdated.first;
  const other = await speaker(t, pageDoor, { proto: pageProtocol + 1, key, about: aPage, state: atRest });
  t.match(other.first, { op: 'refused', code: 'VERSION_UNSUPPORTED' });

  // Agents: one that is cut off during the study, one that blames the daemon's disk, one that sends a model of its own.
  const revoked = new LeavingDriver(['fake-0']);
  const joined: string[] = [];
  const life = new AbortController();
  const ended = new Agent({
    name: 'revoked',
    dataDir: join(folder, 'revoked'),
    token: (await keys.issue('agent')).token,
    drivers: [revoked],
    clock,
    retry: { firstMs: 20, mostMs: 20 },
    connect: (options) => connectWs(agentDoor, options),
    onEvent: (event, { id }) => void (event === 'joined' && joined.push(String(id))),
  })
    .run(life.signal)
    .then(
      () => 'stopped',
      (thrown: unknown) => asHildaError(thrown).code as string,
    );
  t.teardown(async () => {
    life.abort();
    await ended;
  });
  await until(() => joined.length === 1, 'the agent joined');
  revoked.before = async (_, count) => void (count === 4 && (await keys.revoke(joined[0] as string)));
  const target = { ...(await store.device('fake-0' as DeviceId)).target, model: 'of an agent' };
  const agent = async (answer: Answer) => {
    const { token } = await keys.issue('agent');
    const devices = [{ id: 'x', kind: 'fake', label: 'X', target, host: null, obstacle: null }];
    const hello = { proto: agentProtocol, token, name: 'bad', devices, running: [], finished: [] };
    return speaker(t, agentDoor, hello, (message, say) => {
      const { op, job, epoch, work } = message;
      if (op !== 'lease') return;
      if ((work as Message).kind === 'open')
        say({ op: 'result', job, epoch, value: { target, abilities: [] } });
      else answer(message, say);
    });
  };
  const error = { code: 'DISK_FULL', message: 'no space', hint: '', retryable: false, details: {} };
  const liar = await agent(({ job, epoch }, say) => say({ op: 'failed', job, epoch, error }));
  const smuggler = await agent((_, say) => say(new Uint8Array(4096).fill(8)));

  // Phones: one that trusts nobody, one that leaves during its runs.
  const wary = await openPhone(t, { trust: false });
  const leaving = await openPhone(t);
  void adb('connect', wary.serial);
  await until(() => wary.adbd.offers > 0, 'it was asked');
  await adb('connect', leaving.serial);
  const phones = async () => {
    await pool.discover({ signal });
    return (await store.devices()).filter(({ kind }) => kind === 'adb');
  };
  await until(async () => (await phones()).length >= 2, 'both phones are listed');
  await until(
    async () =>
      (await phones()).some(({ id }) => pool.presence(id).obstacle === null && pool.presence(id).present),
    'one is ready',
  );
  const ready = (await phones()).find(({ label }) => /Test Phone/.test(label))!;
  const blocked = (await phones()).find(({ label }) => label.includes(wary.serial))!;
  const bogus = (await store.devices()).find(({ target: { provider } }) => provider === 'bogus')!;
  await pool.adopt(ready.id);
  const left = until(() => leaving.phone.ran.length >= 40, 'it was measured').then(async () => {
    leaving.adbd.unplug();
    await adb('disconnect', leaving.serial);
  });
  left.catch(() => {});
  // Nobody can take them into use as they are; they were, before the provider went and the phone forgot this computer.
  for (const { id } of [bogus, blocked]) {
    await t.rejects(pool.adopt(id), { code: 'DEVICE_FAILED' });
    await t.rejects(studies.create(await smallSpec(folder, { devices: ['fake-0', id] })), {
      code: 'DEVICE_UNKNOWN',
    });
    await store.setDeviceState(id, 'adopted');
  }

  const bad = {
    'an unknown provider': [bogus.id, 'DEVICE_FAILED', /bogus/],
    'a software adapter': [`${software.first.id}-webgpu`, 'DEVICE_FAILED', /no speed/],
    'messages out of order': [hasty.first.id, 'DEVICE_GONE', /./],
    'another version': [outdated.first.id, 'DEVICE_GONE', /./],
    'a revoked agent': [`${joined[0]}-fake-0`, 'DEVICE_GONE', /./],
    'an agent that blames the daemon': [`${liar.first.id}-x`, 'STATE_CONFLICT', /hilda devices release/],
    'an agent that sends a model': [`${smuggler.first.id}-x`, 'DEVICE_GONE', /./],
    'an unauthorised phone': [blocked.id, 'DEVICE_FAILED', /trust/],
    'a phone that left': [ready.id, 'DEVICE_GONE', /./],
  } as const;
  const { id } = await studies.create(
    await smallSpec(folder, {
      devices: ['fake-0', ...Object.values(bad).map(([device]) => device)],
      objectives: [
        { metric: 'accuracy', goal: 'max' },
        { metric: 'latencyUs', goal: 'min' },
      ],
      budget: { trials: 18 },
      holdMinutes: 0,
    }),
  );
  await studies.settled(id);
  await left;
  const record = await store.study(id);
  t.match(record, { state: 'completed', reason: /^\d+ trials lack / }, String(record.reason));
  const trials = await store.trials(id);
  t.equal(trials.length, 18);
  const failed = trials.filter((trial) => trial.state !== 'complete');
  t.ok(failed.length <= 2, `${failed.length} trials were spent on finding a device unfit`);
  for (const { reason } of failed) t.match(reason, /^DEVICE_FAILED: the agent .* failed with DISK_FULL/);
  t.equal(trials.filter(({ measurements }) => measurements['fake-0' as DeviceId]).length, 18);
  t.ok((await studies.fronts(id)).devices[0]!.front.length > 0, 'with a front');
  // A fast study ends before its third fault. The next jobs of the device meet the others.
  const liarId = `${liar.first.id}-x` as DeviceId;
  for (let i = 0; i < 20 && (await store.device(liarId)).state !== 'quarantined'; i++) {
    const network = doublingNetwork();
    const asked = jobs.run(
      {
        work: { kind: 'measure', protocol: loadProtocol('quick'), calibration: null, ramBytes: null },
        network: { structure: structureHash(network) },
        devices: { device: liarId },
        owner: { kind: 'person' },
        attached: true,
        given: { network },
      },
      { signal },
    );
    await t.rejects(asked, { code: /^(DEVICE_FAILED|STATE_CONFLICT)$/ });
  }
  for (const [what, [device, code, hint]] of Object.entries(bad)) {
    const use = pool.use(device as DeviceId, { signal }, (opened) =>
      opened.measure(doublingNetwork(), loadProtocol('quick'), { signal }),
    );
    const thrown = await use.then(
      () => null,
      (error: unknown) => asHildaError(error),
    );
    t.match(thrown, { code, hint }, `${what}: ${thrown?.code} ${thrown?.message}`);
  }
  t.equal(await ended, 'KEY_REVOKED', 'the agent ends');
  t.equal(joined.length, 1, 'and does not knock again');
  t.match(await store.device(liarId), {
    state: 'quarantined',
    reason: /DISK_FULL/,
  });
  await smuggler.closed;
  await hasty.closed;
});

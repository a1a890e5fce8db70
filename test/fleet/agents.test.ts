import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { AttemptLimit } from '../../daemon/api/attempt-limit.js';
import { daemonCertificate } from '../../daemon/api/certificate.js';
import { connectWs } from '../../daemon/cli/connect-ws.js';
import { ManualClock, systemClock } from '../../daemon/core/clock.js';
import { asHildaError, HildaError } from '../../daemon/core/errors.js';
import type { DeviceId } from '../../daemon/core/ids.js';
import { randomInt, Xoshiro128 } from '../../daemon/core/rng.js';
import { AgentDriver } from '../../daemon/devices/agent/driver.js';
import { AgentHub } from '../../daemon/devices/agent/hub.js';
import { packTensors, unpackTensors } from '../../daemon/devices/agent/tensor-bytes.js';
import { agentProtocol } from '../../daemon/devices/agent/wire.js';
import type { Connection } from '../../daemon/devices/connection.js';
import type { Device, Driver, Tensors } from '../../daemon/devices/contract.js';
import { FakeDriver } from '../../daemon/devices/fake/driver.js';
import { OnnxRuntimeDriver } from '../../daemon/devices/onnxruntime/driver.js';
import { Agent } from '../../daemon/fleet/agent/agent.js';
import { DevicePool } from '../../daemon/fleet/device-pool.js';
import { StoredJoinKeys } from '../../daemon/fleet/join-keys.js';
import { structureHash } from '../../daemon/network/canonical-text.js';
import { floatTensor } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';
import { openStore } from '../../daemon/store/open-store.js';
import { contractProtocol, deviceContract, doublingNetwork } from '../contract/device-contract.js';
import { openJoinBench } from '../devices/join-bench.js';

const childPath = fileURLToPath(new URL('./agent-child.js', import.meta.url));
const { signal } = new AbortController();

async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let i = 0; i < 3000; i++) {
    if (await holds()) return;
    await systemClock.sleep(10);
  }
  throw new Error(`never: ${what}`);
}

/** A hub behind a real ws server; `links` are the agents' open connections, to be cut. */
async function openHub(
  t: Test,
  times: { leaseMs?: number; heartbeatMs?: number } = {},
  attempts?: AttemptLimit,
) {
  const clock = systemClock;
  const store = await openStore({ dataDir: ':memory:', clock });
  t.teardown(() => store.close());
  const keys = new StoredJoinKeys(store, clock);
  const hub = new AgentHub({ keys, clock, leaseMs: 20_000, heartbeatMs: 200, helloMs: 60_000, ...times });
  const links = new Set<Connection>();
  const { port } = await openJoinBench(t, {
    keys,
    ...(attempts && { attempts }),
    acceptAgent: async (connection) => {
      links.add(connection);
      connection.onClose(() => void links.delete(connection));
      return hub.accept(connection);
    },
  });
  const folder = await mkdtemp(join(tmpdir(), 'hilda-agents-'));
  t.teardown(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }));
  return { store, keys, hub, links, folder, url: `ws://127.0.0.1:${port}/v1/agents/join` };
}
type Hub = Awaited<ReturnType<typeof openHub>>;

/** An agent in this process. Stopped with the test; `cut` breaks its link. */
async function startAgent(t: Test, bench: Hub, driver: Driver, name = 'here') {
  const abort = new AbortController();
  const events: { event: string; [key: string]: unknown }[] = [];
  const { token } = await bench.keys.issue('agent');
  let connected: Connection | undefined;
  let reachable = true;
  const ended = new Agent({
    name,
    dataDir: join(bench.folder, name),
    token,
    drivers: [driver],
    clock: systemClock,
    retryMs: [20, 40],
    connect: async (options) => {
      if (!reachable) throw new Error('the test holds the link down');
      connected = await connectWs(bench.url, options);
      return connected;
    },
    onEvent: (event, details) => events.push({ event, ...details }),
  })
    .run(abort.signal)
    .then(
      () => 'stopped',
      (thrown: unknown) => asHildaError(thrown).code as string,
    );
  t.teardown(async () => {
    abort.abort();
    await ended;
  });
  return {
    ended,
    events,
    hold: (down: boolean) => {
      reachable = !down;
      if (down) connected?.close(1000, 'cut');
    },
    said: (event: string) => events.filter((e) => e.event === event).length,
  };
}

/** A fake whose jobs end when the test says so, however fast the machine is. */
class GatedDriver extends FakeDriver {
  begun = 0;
  /** Jobs end by themselves. */
  ungated = false;
  #waiting: (() => void)[] = [];

  override async open(...args: Parameters<FakeDriver['open']>): Promise<Device> {
    const device = await super.open(...args);
    return new Proxy(device, {
      get: (inner, name) => {
        const value = Reflect.get(inner, name, inner);
        if (typeof value !== 'function') return value;
        if (name !== 'measure') return value.bind(inner);
        return async (...given: Parameters<Device['measure']>) => {
          this.begun++;
          if (!this.ungated) await new Promise<void>((resolve) => this.#waiting.push(resolve));
          return inner.measure(...given);
        };
      },
    });
  }

  go(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

const never = (): never => {
  throw new Error('never');
};

const open = async (hub: AgentHub): Promise<Device> => {
  const driver = new AgentDriver(hub);
  for await (const sighting of driver.discover()) return driver.open(sighting, { signal });
  throw new Error('no device');
};

t.test('a device of an agent keeps the contract', async (t) => {
  const bench = await openHub(t);
  const { hub } = bench;
  const refusing = await openHub(t);
  await startAgent(t, bench, new OnnxRuntimeDriver());
  await startAgent(t, refusing, new FakeDriver({ faults: ['reject'] }));
  await until(() => hub.agents().length + refusing.hub.agents().length === 2, 'both agents joined');
  await t.test('through onnxruntime', (t) =>
    deviceContract(t, () => new AgentDriver(hub), {
      refusedBy: () => new AgentDriver(refusing.hub),
      host: hub.agents()[0]!.id,
    }),
  );
  t.equal(hub.counts.refusedResults, 0);
});

const outbox = (bench: Hub) => readdir(join(bench.folder, 'here', 'outbox'));

/** A fake with a flash: it holds one network, and answers with its input, doubled. */
class FlashDriver extends FakeDriver {
  readonly calls: string[] = [];
  calibration: readonly Tensors[] = [];

  override async open(...args: Parameters<FakeDriver['open']>): Promise<Device> {
    const device = await super.open(...args);
    const port = {
      dims: [1, 4, 8, 8],
      layout: 'row-major',
      quantisation: { scale: 1, zeroPoint: 0 },
    } as const;
    let held: number | null = null;
    const more: Pick<Device, 'deploy' | 'runDeployed' | 'reset'> = {
      deploy: async (network, { calibration = [] }) => {
        this.calls.push('deploy');
        this.calibration = calibration;
        held = 7;
        return {
          structureHash: structureHash(network),
          weightsHash: 'w',
          programCrc: held,
          flashBytes: 100,
          arenaBytes: 200,
          inputOffset: null,
          inputBytes: 256,
          outputOffset: 0,
          outputBytes: 256,
          input: { name: 'x', ...port },
          output: { name: 'y', ...port },
          calibratedOn: `${calibration.length} inputs`,
        };
      },
      runDeployed: async ({ programCrc }, { x }) => {
        this.calls.push('runDeployed');
        if (programCrc !== held) throw new HildaError('STATE_CONFLICT', 'the board holds another network');
        return { y: { dims: x!.dims, data: x!.data.map((value) => 2 * value) } };
      },
      reset: async () => void this.calls.push('reset'),
    };
    return Object.assign(device, more);
  }
}

t.test('abilities are asked for; networks are deployed and run again through the agent', async (t) => {
  const plain = await openHub(t);
  await startAgent(t, plain, new FakeDriver());
  await until(() => plain.hub.agents().length === 1, 'the agent joined');
  const lacking = await open(plain.hub);
  t.equal(lacking.deploy, undefined);
  t.equal(lacking.runDeployed, undefined);
  const [{ id, devices } = never()] = plain.hub.agents();
  await t.rejects(
    plain.hub.perform(id, devices[0]!.id, { kind: 'reset' }, { signal }),
    { code: 'STATE_CONFLICT' },
    'who asks all the same is told',
  );

  const bench = await openHub(t);
  const driver = new FlashDriver();
  const agent = await startAgent(t, bench, driver);
  await until(() => bench.hub.agents().length === 1, 'the agent joined');
  const device = await open(bench.hub);
  const tensor = (dims: number[], of: (i: number) => number) => ({
    dims,
    data: Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => of(i)),
  });
  const calibration = [{ x: tensor([1, 4, 8, 8], (i) => i / 3) }, { x: tensor([1, 4, 8, 8], () => -1) }];
  const deployment = await device.deploy!(doublingNetwork(), { signal, calibration });
  t.same(driver.calibration, calibration, 'inputs arrive bit for bit');
  t.match(deployment, { programCrc: 7, calibratedOn: '2 inputs' });
  // Three frames there, three back.
  const x = tensor([1, 150_000], Math.sin);
  const { y } = await device.runDeployed!(deployment, { x }, { signal });
  t.ok(isDeepStrictEqual(y, { dims: x.dims, data: x.data.map((value) => 2 * value) }));
  await device.reset!({ signal });
  await t.rejects(device.runDeployed!({ ...deployment, programCrc: 8 }, { x }, { signal }), {
    code: 'STATE_CONFLICT',
  });
  t.same(driver.calls, ['deploy', 'runDeployed', 'reset', 'runDeployed']);
  t.equal(agent.said('inputs'), 2, 'the same inputs are sent once');
  t.equal(bench.hub.counts.transfers, 1);
});

t.test('tensors as bytes come back as they were; anything else is refused', async (t) => {
  const name = fc.string({ maxLength: 20 }).filter((text) => text !== '__proto__');
  const tensor = fc.array(fc.nat({ max: 4 }), { maxLength: 4 }).chain((dims) => {
    const length = dims.reduce((a, b) => a * b, 1);
    const values = fc.array(fc.float({ noNaN: true }), { minLength: length, maxLength: length });
    return values.map((list) => ({ dims, data: Float32Array.from(list) }));
  });
  const sets = fc.array(fc.dictionary(name, tensor, { maxKeys: 4, noNullPrototype: true }), { maxLength: 4 });
  const refused = (bytes: Uint8Array): boolean => {
    try {
      unpackTensors(bytes);
      return false;
    } catch (thrown) {
      return asHildaError(thrown).code === 'MESSAGE_INVALID';
    }
  };
  fc.assert(
    fc.property(sets, (given) => {
      const bytes = packTensors(given);
      return (
        isDeepStrictEqual(unpackTensors(bytes), given) &&
        refused(bytes.subarray(0, -1)) &&
        refused(Uint8Array.of(...bytes, 0))
      );
    }),
    { numRuns: 50 },
  );
  t.ok(refused(Uint8Array.of(2, 0, 0, 0, 0x7b, 0x7d)), 'a head of another shape');
});

/** An agent that joined, and measurements that end when its driver is told. */
async function openGated(t: Test, options?: Parameters<typeof openHub>[1]) {
  const bench = await openHub(t, options);
  const { hub } = bench;
  const driver = new GatedDriver();
  const agent = await startAgent(t, bench, driver);
  await until(() => hub.agents().length === 1, 'the agent joined');
  const device = await open(hub);
  const measure = () => device.measure(doublingNetwork(), contractProtocol, { signal });
  return { bench, hub, driver, agent, measure };
}

t.test('a cut link loses nothing and repeats nothing', async (t) => {
  const { bench, hub, driver, agent, measure } = await openGated(t);

  const short = measure();
  await until(() => driver.begun === 1, 'it runs');
  agent.hold(true);
  await until(() => bench.links.size === 0, 'the link is cut');
  agent.hold(false);
  await until(() => agent.said('joined') === 2, 'it is back');
  driver.go();
  t.equal((await short).provenance, 'emulated');
  t.equal(agent.said('finished'), 2, 'opened once, run once');
  t.match(hub.counts, { leases: 2, refusedResults: 0 }, 'one to open it, one to measure');

  // Cut until after the job ended, though not as long as the lease: the result waits in the outbox.
  const waiting = measure();
  await until(() => driver.begun === 2, 'it runs');
  agent.hold(true);
  await until(() => bench.links.size === 0, 'the link is cut');
  driver.go();
  await until(() => agent.said('finished') === 3, 'it ended meanwhile');
  t.equal((await outbox(bench)).length, 1);
  agent.hold(false);
  await waiting;
  t.equal(agent.said('finished'), 3);
  await until(async () => (await outbox(bench)).length === 0, 'acknowledged');
  t.match(hub.counts, { leases: 3, refusedResults: 0, transfers: 1 }, 'one model, sent once in all this');
});

t.test('the result of a lease that ran out is refused and counted', async (t) => {
  const { bench, hub, driver, agent, measure } = await openGated(t, { leaseMs: 3000, heartbeatMs: 100 });
  const late = measure();
  late.catch(() => {});
  await until(() => driver.begun === 1, 'it runs');
  agent.hold(true);
  await t.rejects(late, { code: 'DEVICE_GONE', message: /no sign of life/ });
  await until(() => hub.agents().length === 0, 'its devices are gone soon');
  driver.go();
  await until(async () => (await outbox(bench)).length === 1, 'it ended too late');
  agent.hold(false);
  await until(() => agent.said('refused') === 1, 'the late result was refused');
  t.equal(hub.counts.refusedResults, 1);
  await until(async () => (await outbox(bench)).length === 0, 'and dropped');
  await until(() => hub.agents().length === 1, 'the agent is back');
  driver.ungated = true;
  t.ok(await measure(), 'the agent is as good as before');
  t.equal(hub.counts.transfers, 1, 'one model, sent once in all this');
});

t.test('a revoked key, a wrong token and another version end the agent', async (t) => {
  const bench = await openHub(t);
  const agent = await startAgent(t, bench, new FakeDriver());
  await until(() => bench.hub.agents().length === 1, 'the agent joined');
  const running = open(bench.hub).then((device) =>
    device.measure(doublingNetwork(), { ...contractProtocol, ciHalfWidth: 1e-9 }, { signal }),
  );
  await running;
  await bench.keys.revoke(bench.hub.agents()[0]!.id);
  t.equal(await agent.ended, 'KEY_REVOKED');
  await until(() => bench.hub.agents().length === 0, 'its devices are gone');
  const again = await startAgent(t, bench, new FakeDriver());
  t.equal(await again.ended, 'KEY_REVOKED', 'its key is still in its folder');
  const child = spawn(process.execPath, [childPath, bench.url, join(bench.folder, 'guess'), 'a-guess']);
  const code = await new Promise((resolve) => child.once('close', resolve));
  t.equal(code, 8, 'a program that ends, not one that loops');
});

t.test('a key revoked amid a job ends the agent and frees whoever waits', async (t) => {
  const bench = await openHub(t);
  const driver = new GatedDriver();
  const agent = await startAgent(t, bench, driver);
  await until(() => bench.hub.agents().length === 1, 'the agent joined');
  const device = await open(bench.hub);
  const measuring = t.rejects(device.measure(doublingNetwork(), contractProtocol, { signal }), {
    code: 'DEVICE_GONE',
    message: /revoked/,
  });
  await until(() => driver.begun === 1, 'it runs');
  await bench.keys.revoke(bench.hub.agents()[0]!.id);
  await measuring;
  t.equal(await agent.ended, 'KEY_REVOKED');
  t.equal(agent.said('joined'), 1, 'it did not knock again');
  driver.go();
});

t.test('whoever shows wrong tokens is kept waiting, at both doors, and told how long', async (t) => {
  const clock = new ManualClock(1_000_000);
  const attempts = new AttemptLimit({ clock, most: 3, windowMs: 60_000 });
  const bench = await openHub(t, {}, attempts);
  const guess = async (n: number): Promise<string> => {
    const connection = await connectWs(bench.url, { signal });
    const refused = new Promise<string>((resolve) => {
      connection.onMessage((text) => resolve(JSON.parse(String(text)).code));
    });
    const hello = {
      op: 'hello',
      proto: agentProtocol,
      token: `guess-${n}`,
      name: 'x',
      devices: [],
      running: [],
      finished: [],
    };
    connection.send(JSON.stringify(hello));
    const code = await refused;
    await new Promise<void>((resolve) => connection.onClose(resolve));
    return code;
  };
  // What breaks the protocol is no guess.
  const rude = await connectWs(bench.url, { signal });
  rude.send('rubbish');
  await new Promise<void>((resolve) => rude.onClose(resolve));
  for (let n = 0; n < 3; n++) {
    t.equal(await guess(n), 'PAIRING_REFUSED');
    await clock.advance(10_000);
  }
  const limited = { code: 'ATTEMPTS_LIMITED', details: { retryAfterS: 30 } };
  await t.rejects(connectWs(bench.url, { signal }), limited, 'the first guess is 30 s old');
  await t.rejects(connectWs(bench.url.replace('agents/', ''), { signal }), limited, 'nor as a page');
  await clock.advance(29_000);
  await t.rejects(connectWs(bench.url, { signal }), {
    code: 'ATTEMPTS_LIMITED',
    details: { retryAfterS: 1 },
  });
  await clock.advance(1000);
  const agent = await startAgent(t, bench, new FakeDriver());
  await until(() => agent.said('joined') === 1, 'a right token joins again');
  t.equal(await guess(9), 'PAIRING_REFUSED');
  await t.rejects(connectWs(bench.url, { signal }), { code: 'ATTEMPTS_LIMITED' }, 'and wrong ones count on');
  t.doesNotThrow(() => attempts.check('192.0.2.1'), 'another address is another count');
});

t.test('a certificate is trusted by its fingerprint alone', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'hilda-cert-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const certificate = await daemonCertificate(folder, Date.now());
  const { port } = await openJoinBench(t, { certificate, acceptAgent: async () => null });
  const url = `wss://127.0.0.1:${port}/v1/agents/join`;
  const pinned = await connectWs(url, { signal, fingerprint: certificate.fingerprint });
  pinned.close(1000, 'enough');
  const other = certificate.fingerprint.replace(/^../, (byte) => (byte === '00' ? '01' : '00'));
  await t.rejects(connectWs(url, { signal, fingerprint: other }), { code: 'PAIRING_REFUSED' });
  await t.rejects(connectWs(url, { signal }), { code: 'DAEMON_UNREACHABLE' }, 'no authority knows it');
});

t.test('what an agent may not say', async (t) => {
  const bench = await openHub(t);
  const hello = async (changes: object = {}) =>
    JSON.stringify({
      op: 'hello',
      proto: agentProtocol,
      token: (await bench.keys.issue('agent')).token,
      name: 'hostile',
      devices: [],
      running: [],
      finished: [],
      ...changes,
    });
  /** Hears until it is cut off, or until the last of the messages has its answer. */
  const talk = async (...messages: (string | Uint8Array)[]): Promise<string[]> => {
    const connection = await connectWs(bench.url, { signal });
    const heard: string[] = [];
    await new Promise<void>((resolve) => {
      connection.onMessage((message) => {
        const { op, code, accepted } = JSON.parse(String(message));
        heard.push(code ?? (accepted === undefined ? op : `${op} ${accepted}`));
        if (op === 'ack') resolve();
      });
      connection.onClose(resolve);
      for (const message of messages) connection.send(message);
    });
    connection.close(1000, 'done');
    return heard;
  };
  t.same(await talk('{"op":"heartbeat","running":[]}'), ['MESSAGE_INVALID'], 'no hello first');
  t.same(await talk(await hello({ proto: 9 })), ['VERSION_UNSUPPORTED']);
  t.same(await talk(await hello({ token: 'guess' })), ['PAIRING_REFUSED']);
  t.same(await talk(await hello({ devices: [{ id: '../../etc' }] })), ['MESSAGE_INVALID']);
  const onnx = new Uint8Array(64);
  t.same(await talk(await hello(), onnx), ['welcome', 'MESSAGE_INVALID'], 'an ONNX file from an agent');
  t.same(await talk(await hello(), await hello()), ['welcome', 'MESSAGE_INVALID'], 'hello twice');
  const forged = JSON.stringify({ op: 'result', job: 'of-another', epoch: 1, value: {} });
  t.same(await talk(await hello(), forged), ['welcome', 'ack false'], 'a result of no job of its own');
  t.equal(bench.hub.counts.refusedResults, 1);
});

t.test('a hostile network is refused by the agent, which goes on', async (t) => {
  const bench = await openHub(t);
  await startAgent(t, bench, new OnnxRuntimeDriver());
  await until(() => bench.hub.agents().length === 1, 'the agent joined');
  const device = await open(bench.hub);
  const builder = new GraphBuilder({ name: 'bomb' });
  const x = builder.input('x', 'float32', [1, 1]);
  const ones = builder.constant('ones', floatTensor([1, 1], Float32Array.of(1)));
  const huge = Array.from({ length: 2 }, () => 2 ** 16);
  builder.output(builder.add(x, builder.node('Expand', [ones, builder.ints(huge)])));
  await t.rejects(device.measure(builder.build(), contractProtocol, { signal }), {
    code: /^(NETWORK_TOO_LARGE|OPERATOR_UNSUPPORTED|DEVICE_OUT_OF_MEMORY|NETWORK_REJECTED)$/,
  });
  t.ok(await device.measure(doublingNetwork(), contractProtocol, { signal }));
});

t.test('3 agents, 200 jobs, links cut and agents killed at random', async (t) => {
  const bench = await openHub(t, { heartbeatMs: 150 });
  const { hub, store, url, links } = bench;
  const rng = Xoshiro128.fromSeed(5);
  const pool = new DevicePool({ store, drivers: [new AgentDriver(hub)], clock: systemClock, retryMs: 10 });
  await pool.start(signal);
  t.teardown(() => pool.stop());

  const children = new Map<string, ChildProcess>();
  const counts = { models: new Map<string, number>(), finished: 0, done: 0, killed: 0, cut: 0 };
  const start = async (name: string, first: boolean): Promise<void> => {
    const token = first ? [(await bench.keys.issue('agent')).token] : [];
    const child = spawn(process.execPath, [childPath, url, join(bench.folder, name), ...token], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.set(name, child);
    let text = '';
    child.stdout?.on('data', (data) => {
      const lines = (text + String(data)).split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) {
        const { event, sha256 } = JSON.parse(line) as { event: string; sha256?: string };
        if (event === 'finished') counts.finished++;
        const key = `${name} ${sha256}`;
        if (event === 'model') counts.models.set(key, (counts.models.get(key) ?? 0) + 1);
      }
    });
  };
  const names = ['north', 'south', 'west'];
  for (const name of names) await start(name, true);
  t.teardown(() => {
    for (const child of children.values()) child.kill('SIGKILL');
  });
  await until(() => hub.agents().length === 3, 'three agents joined');
  const devices: DeviceId[] = hub
    .agents()
    .map(({ id, devices: [device] }) => `${id}-${device?.id}` as DeviceId);
  await pool.discover();

  const recorded = new Map<number, number>();
  /** Told by the jobs done, not by the clock: a slow machine gets no more trouble than a fast one. */
  const trouble = async (): Promise<void> => {
    const name = names[randomInt(rng, names.length)]!;
    if (++counts.done % 30 === 0) {
      children.get(name)?.kill('SIGKILL');
      counts.killed++;
      await start(name, false);
    } else if (randomInt(rng, 5) === 0) {
      const all = [...links];
      all[randomInt(rng, Math.max(1, all.length))]?.close(1011, 'cut by the test');
      counts.cut++;
    }
  };

  const models = Array.from({ length: 5 }, (_, i) => doublingNetwork(4 + i, 8));
  const job = async (n: number): Promise<void> => {
    for (;;) {
      try {
        await pool.withAny(devices, { holder: `job-${n}`, signal }, async (device, lease) => {
          const measurement = await device.measure(models[n % models.length]!, contractProtocol, { signal });
          await store.addMeasurement(measurement, { deviceId: lease.deviceId, lease });
          recorded.set(n, (recorded.get(n) ?? 0) + 1);
        });
        await trouble();
        return;
      } catch (thrown) {
        if (asHildaError(thrown).code !== 'DEVICE_GONE') throw thrown;
        await systemClock.sleep(20);
      }
    }
  };
  await Promise.all(Array.from({ length: 200 }, (_, n) => job(n)));
  t.equal(recorded.size, 200, '200 jobs have a result');
  t.ok(
    [...recorded.values()].every((n) => n === 1),
    'none has two',
  );
  t.equal((await store.measurements({ limit: 1000 })).length, 200, 'and so says the store');
  t.ok(counts.killed === 6 && counts.cut >= 3, `${counts.killed} killed, ${counts.cut} links cut`);
  t.ok(
    [...counts.models.values()].every((n) => n === 1),
    `each model once an agent: ${counts.models.size} transfers`,
  );
  t.ok(counts.models.size <= 15);
  t.comment(JSON.stringify({ ...hub.counts, ...counts, models: counts.models.size }));
});

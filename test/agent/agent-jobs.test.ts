import { type ChildProcess, spawn } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { systemClock } from '../../daemon/core/clock.js';
import { asHildaError } from '../../daemon/core/errors.js';
import type { DeviceId } from '../../daemon/core/ids.js';
import { randomInt, Xoshiro128 } from '../../daemon/core/rng.js';
import { AgentDriver } from '../../daemon/devices/agent/driver.js';
import { OnnxRuntimeDriver } from '../../daemon/devices/onnxruntime/driver.js';
import { DevicePool } from '../../daemon/fleet/device-pool.js';
import { Jobs } from '../../daemon/jobs/jobs.js';
import { structureHash } from '../../daemon/network/canonical-text.js';
import { floatTensor } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';
import { contractProtocol, doublingNetwork } from '../contract/device-contract.js';
import { childPath, GatedDriver, type Hub, open, openHub, startAgent, until } from './agent-bench.js';

const { signal } = new AbortController();

const outbox = (bench: Hub) => readdir(join(bench.folder, 'here', 'outbox'));

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
  const pool = new DevicePool({ store, drivers: [new AgentDriver(hub)], clock: systemClock });
  const jobs = new Jobs({ store, pool, clock: systemClock, retryMs: 10 });
  await pool.start(signal);
  await jobs.start(signal);
  t.teardown(async () => {
    await jobs.stop();
    await pool.stop();
  });

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
  for (const id of devices) await pool.tag(id, ['agents']);

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
        const network = models[n % models.length]!;
        await jobs.run(
          {
            work: { kind: 'measure', protocol: contractProtocol, calibration: null, ramBytes: null },
            network: { structure: structureHash(network) },
            devices: { tags: ['agents'] },
            owner: { kind: 'benchmark', name: 'agents' },
            given: { network },
          },
          { signal },
        );
        recorded.set(n, (recorded.get(n) ?? 0) + 1);
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

import { execFileSync, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { asHildaError } from '../../daemon/core/errors.js';
import type { DeviceId } from '../../daemon/core/ids.js';
import type { Measurement } from '../../daemon/core/measurement.js';
import { AgentHub } from '../../daemon/devices/agent/hub.js';
import { FakeDriver } from '../../daemon/devices/fake/driver.js';
import type { Graph } from '../../daemon/network/graph.js';
import { contractProtocol, doublingNetwork } from '../contract/device-contract.js';
import { runAgent } from '../lines/agent-in-node.js';
import { heavyNetwork } from '../lines/heavy-network.js';
import { admitAll, namedKeys } from '../lines/keys.js';
import { SimulatedLine } from '../lines/simulated-line.js';
import { VirtualClock } from '../lines/virtual-clock.js';
import { childPath, open, openHub, until } from './agent-bench.js';

const { signal } = new AbortController();

async function openLine(t: Test, bitsPerS = 2e6, delayMs = 50) {
  const clock = new VirtualClock();
  const line = new SimulatedLine({ clock, bitsPerS, delayMs });
  const hub = new AgentHub({ keys: namedKeys, clock });
  const folder = await mkdtemp(join(tmpdir(), 'hilda-lines-'));
  t.teardown(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }));
  const start = (name = 'here', options: { readonly key?: string; readonly takeOver?: boolean } = {}) => {
    const drivers = [new FakeDriver({ clock, delayMs: 5000 })];
    const connect = () => line.connect((far) => void hub.accept(far, admitAll));
    const agent = runAgent({ clock, connect, drivers, dataDir: join(folder, name), key: 'x', ...options });
    t.teardown(async () => {
      void agent.stop();
      await clock.until(() => agent.ended() !== null);
    });
    return agent;
  };
  /** Measures, and lets time pass until it is over. */
  const measure = async (network: Graph) => {
    const job: { seen: object | null } = { seen: null };
    void (async () => {
      const device = await open(hub);
      return device.measure(network, contractProtocol, { signal });
    })().then(
      (measurement) => {
        job.seen = measurement;
      },
      (thrown) => {
        const { code, message, details } = asHildaError(thrown);
        job.seen = { code, message, details };
      },
    );
    return job;
  };
  return { clock, line, hub, folder, start, measure };
}

t.test('an agent whose line dies without a word notices, comes back and goes on', async (t) => {
  const { clock, line, hub, start, measure } = await openLine(t);
  const agent = start();
  t.ok(await clock.until(() => hub.agents().length === 1));
  const before = line.down.bytes;
  const transferred = await measure(heavyNetwork(1e6));
  t.ok(await clock.until(() => line.down.bytes - before > 500_000));
  line.cut(24_000);
  t.ok(await clock.until(() => transferred.seen !== null));
  t.match(transferred.seen, { verdict: 'valid' }, 'a cut in the transfer');
  t.equal(agent.said('joined'), 2);
  const total = line.down.bytes + line.up.bytes - before;
  t.ok(total < 1.1e6, `${total} bytes for a network of 1 MB`);

  const done = agent.said('finished');
  for (const cutMs of [24_000, 60_000, 120_000]) {
    const measured = await measure(doublingNetwork());
    await clock.pass(2000);
    line.cut(cutMs);
    t.ok(await clock.until(() => measured.seen !== null));
    t.match(measured.seen, { verdict: 'valid', code: undefined }, `a cut of ${cutMs} ms in the job`);
  }
  t.equal(agent.said('joined'), 5);
  t.equal(agent.said('finished') - done, 6, 'opened once and run once each');
  t.equal(hub.counts.refusedResults, 0);
  const { bytesPerS } = hub.lineTo('agent-x-fake-0' as DeviceId) ?? {};
  t.ok(bytesPerS! > 150_000 && bytesPerS! < 300_000, `${bytesPerS} bytes/s`);
});

t.test('an agent that was stopped is gone at once, one that is silent later', async (t) => {
  const { clock, line, hub, start, measure } = await openLine(t);
  const stopped = start('a');
  t.ok(await clock.until(() => hub.agents().length === 1));
  const ended = await measure(doublingNetwork());
  await clock.pass(2000);
  void stopped.stop();
  t.ok(await clock.until(() => ended.seen !== null, 20_000));
  t.match(ended.seen, { code: 'DEVICE_GONE', message: /was stopped/ });
  t.same(hub.agents(), []);
  start('b');
  t.ok(await clock.until(() => hub.agents().length === 1));
  const silent = await measure(doublingNetwork());
  await clock.pass(2000);
  line.cut(1e9);
  t.notOk(await clock.until(() => silent.seen !== null, 120_000), 'a lift or a tunnel');
  t.ok(await clock.until(() => silent.seen !== null));
  t.match(silent.seen, { code: 'DEVICE_GONE', message: /no sign of life/ });
  t.ok(await clock.until(() => hub.agents().length === 0));
});

t.test('a measurement that came too late answers who asks for the same, once', async (t) => {
  const { clock, line, hub, start, measure } = await openLine(t);
  const agent = start();
  t.ok(await clock.until(() => hub.agents().length === 1));
  const network = doublingNetwork();
  const gone = await measure(network);
  await clock.pass(3000);
  const beganMs = clock.nowMs();
  line.cut(600_000);
  t.ok(await clock.until(() => gone.seen !== null));
  t.match(gone.seen, { code: 'DEVICE_GONE' });
  t.ok(await clock.until(() => agent.said('refused') === 1));
  const [askedMs, done] = [clock.nowMs(), agent.said('finished')];
  t.ok(askedMs - beganMs > 500_000);
  const again = await measure(network);
  t.ok(await clock.until(() => again.seen !== null));
  t.match(again.seen, { verdict: 'valid', manifest: { clock: { basis: 'agrees' } } });
  t.ok(clock.nowMs() - askedMs < 4000, 'without the time that it takes');
  const { takenAtMs, durationMs, manifest } = again.seen as Measurement;
  t.ok(takenAtMs < beganMs + 3000, 'its time is its own');
  t.ok(durationMs > 0 && Number(manifest.heldMs) > 500_000);
  t.equal(agent.said('finished') - done, 2, 'opened anew, and answered');
  const third = await measure(network);
  t.ok(await clock.until(() => third.seen !== null));
  t.ok((third.seen as Measurement).takenAtMs > askedMs, 'who asks once more gets a new one');
});

t.test('of two agents with one key one works, the other ends and says why', async (t) => {
  const { clock, hub, start, measure } = await openLine(t);
  const first = start('a');
  t.ok(await clock.until(() => hub.agents().length === 1));
  const copy = start('b');
  t.ok(await clock.until(() => copy.ended() !== null));
  t.equal(copy.ended(), 'DISPLACED', 'what comes by itself does not evict what works');
  t.equal(first.ended(), null);
  t.equal(first.said('joined'), 1);
  const other = start('b', { takeOver: true });
  t.ok(await clock.until(() => first.ended() !== null));
  t.equal(first.ended(), 'DISPLACED', 'a person may choose');
  const job = await measure(doublingNetwork());
  t.ok(await clock.until(() => job.seen !== null));
  t.match(job.seen, { verdict: 'valid' });
  await clock.pass(600_000);
  t.equal(other.said('joined'), 1, 'and nobody comes back by itself');
});

t.test('storage that takes nothing ends the job with a code of its own, once', async (t) => {
  const { clock, line, hub, folder, start, measure } = await openLine(t);
  // A file where the folder of models should be: permissions would not stop root.
  await mkdir(join(folder, 'here'), { recursive: true });
  await writeFile(join(folder, 'here', 'models'), '');
  const agent = start();
  t.ok(await clock.until(() => hub.agents().length === 1));
  const before = line.down.bytes;
  const job = await measure(heavyNetwork(3e5));
  t.ok(await clock.until(() => job.seen !== null, 300_000));
  t.match(job.seen, {
    code: 'PEER_STORAGE',
    message: /models takes nothing: a file stands where a folder should/,
    details: { engineCode: 'ENOTDIR' },
  });
  t.equal(agent.said('joined'), 1, 'the link holds');
  await clock.pass(120_000);
  t.ok(line.down.bytes - before < 4e5, `${line.down.bytes - before} bytes: it is not sent again`);
  await rm(join(folder, 'here', 'models'));
  const again = await measure(heavyNetwork(3e5));
  t.ok(await clock.until(() => again.seen !== null, 300_000));
  t.match(again.seen, { verdict: 'valid' }, 'mended, it works without a restart');
});

/** False where a file system of a few pages can be mounted, otherwise why not. */
function mountsMissing(): string | false {
  try {
    execFileSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'none', tmpdir()], { stdio: 'ignore' });
    return false;
  } catch {
    return 'no file system can be mounted here: it takes root';
  }
}

t.test('a full disk at the agent', { skip: mountsMissing() }, async (t) => {
  const bench = await openHub(t);
  const data = join(bench.folder, 'full');
  await mkdir(data);
  const { token } = await bench.keys.issue('agent');
  const mounted = `mount -t tmpfs -o size=256k none "${data}" && exec "$0" "$@"`;
  const child = spawn(
    'unshare',
    ['--mount', 'sh', '-c', mounted, process.execPath, childPath, bench.url, join(data, 'x'), token],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const ended = new Promise((resolve) => child.once('close', resolve));
  t.teardown(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  let said = '';
  child.stdout.on('data', (data) => {
    said += String(data);
  });
  await until(() => bench.hub.agents().length === 1, 'the agent joined');
  const device = await open(bench.hub);
  await t.rejects(device.measure(heavyNetwork(4e5), contractProtocol, { signal }), {
    code: 'PEER_STORAGE',
    message: /the disk is full/,
    details: { engineCode: 'ENOSPC' },
  });
  t.ok(await device.measure(heavyNetwork(1e5), contractProtocol, { signal }), 'what fits runs');
  t.ok(
    await device.measure(heavyNetwork(1.1e5, 'other'), contractProtocol, { signal }),
    'older models give way to newer ones',
  );
  t.equal(said.match(/"event":"joined"/g)?.length, 1, 'on one link');
});

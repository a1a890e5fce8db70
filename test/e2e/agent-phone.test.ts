import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { Agent } from '../../daemon/agent/agent.js';
import { DaemonClient } from '../../daemon/api/client.js';
import { systemClock } from '../../daemon/core/clock.js';
import { AdbDriver } from '../../daemon/devices/adb/driver.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { openAgentPhones } from '../../daemon/process/agent-phones.js';
import { connectWs } from '../../daemon/process/connect-ws.js';
import { Daemon } from '../../daemon/process/daemon.js';
import { freePort, openAdb } from '../android/adb-bench.js';
import { openPhone } from '../android/phone.js';
import { checkTunnel } from '../android/tunnel.js';
import { doublingNetwork } from '../contract/device-contract.js';
import { openChromium } from '../devices/chromium.js';
import { knock } from '../devices/join-bench.js';

t.setTimeout(300_000);
const signal = AbortSignal.timeout(280_000);

t.test("a phone on the cable of an agent's machine comes, is measured, leaves and comes back", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'hilda-agent-phone-'));
  t.teardown(() => rm(dir, { recursive: true, force: true, maxRetries: 3 }));
  const clock = systemClock;
  const { adb, port } = await openAdb(t);
  const daemon = new Daemon({ dataDir: join(dir, 'daemon'), port: 0, clock });
  const url = await daemon.start(signal);
  t.teardown(() => daemon.stop());
  const client = new DaemonClient(url);
  const model = (await client.uploadModel(writeOnnx(doublingNetwork()), { signal })).sha256;

  const life = new AbortController();
  const phones = await openAgentPhones({ clock, port, phonePort: await freePort() }, life.signal);
  const { token } = await client.invite('agent', { signal });
  const agent = new Agent({
    name: 'bench',
    dataDir: join(dir, 'agent'),
    token,
    drivers: [new AdbDriver(phones.adb)],
    clock,
    connect: (options) => connectWs(`${url.replace('http', 'ws')}/v1/agents/join`, options),
  });
  const ended = agent.run(life.signal).catch(() => {});
  t.teardown(async () => {
    life.abort();
    await ended;
    await phones.stop();
  });
  const door = `ws://127.0.0.1:${phones.adb.joinPort()}/v1/join`;
  t.equal(await knock(door, { token: 'guess' }), 'PAIRING_REFUSED', 'nobody else is let in');
  t.not(await knock(door.replace('/join', '/agents/join'), { token }), 'welcome', 'nor any agent');

  const device = async (isThere: boolean) => {
    for (let i = 0; i < 600; i++) {
      // By its name: one that is still being asked for its trust has none.
      const found = (await client.devices({ signal })).find(({ label }) => /Test Phone/.test(label));
      if (found && (found.present && !found.obstacle) === isThere) return found;
      await clock.sleep(100);
    }
    const all = JSON.stringify((await client.devices({ signal })).map(({ id, obstacle }) => [id, obstacle]));
    throw new Error(`the phone is never ${isThere ? 'there' : 'gone'}: ${all}`);
  };
  const measure = async (id: string) => {
    const job = await client.ended(
      await client.startMeasurement({ model, device: id, protocol: 'quick' }, { signal }),
      { signal, clock, everyMs: 50 },
    );
    return job;
  };
  const browser = await openChromium(t);
  const plug = async () => {
    const { phone, adbd, serial } = await openPhone(t);
    phone.onIntent = (address) => void browser.newPage().then((page) => page.goto(address).catch(() => {}));
    await adb('connect', serial);
    return { adbd, serial, phone };
  };
  const { adbd, serial, phone } = await plug();
  const seen = await device(true);
  t.match(seen, { state: 'adopted', kind: 'agent', label: 'Emulated Test Phone 1 on bench' });
  t.notOk(
    (await client.devices({ signal })).some(
      (d) => d.kind === 'agent' && d.id !== seen.id && d.state === 'adopted',
    ),
    'what cannot be used yet is not adopted',
  );
  t.match(await measure(seen.id), {
    measurement: { deviceId: seen.id, provenance: 'measured', target: { tier: 'isolated' } },
  });

  await checkTunnel(t, phone.opened.at(-1)!);

  adbd.unplug();
  await adb('disconnect', serial);
  t.equal((await device(false)).id, seen.id, 'the agent says that it left');
  t.match(await measure(seen.id), { state: 'failed', problem: { code: 'DEVICE_GONE' } });
  await plug();
  t.equal((await device(true)).id, seen.id, 'and that it is back, by another cable');
  const again = await measure(seen.id);
  t.match(again, { measurement: { deviceId: seen.id } }, again.problem?.detail ?? '');
});

t.test('`hilda agent join --adb --runner`, as a user types it', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'hilda-agent-flags-'));
  t.teardown(() => rm(dir, { recursive: true, force: true, maxRetries: 3 }));
  const clock = systemClock;
  const { adb, env, server } = await openAdb(t, { start: false });
  const { phone, adbd, serial } = await openPhone(t);
  const runner = join(dir, 'onnxruntime_perf_test');
  await writeFile(runner, 'stands in for a program of the phone');
  const daemon = new Daemon({ dataDir: join(dir, 'daemon'), port: 0, clock });
  const url = await daemon.start(signal);
  t.teardown(() => daemon.stop());
  const client = new DaemonClient(url);
  const model = (await client.uploadModel(writeOnnx(doublingNetwork()), { signal })).sha256;
  const { token } = await client.invite('agent', { signal });
  await t.rejects(server.devices({ signal }), { code: 'ADB_FAILED' }, 'no adb server runs');

  const main = fileURLToPath(new URL('../../daemon/cli/main.js', import.meta.url));
  const door = url.replace('http', 'ws');
  const flags = [
    '--token',
    token,
    '--name',
    'bench',
    '--data',
    join(dir, 'agent'),
    '--adb',
    '--runner',
    runner,
  ];
  const child = spawn(process.execPath, [main, 'agent', 'join', door, ...flags], { env });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk));
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  t.teardown(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const until = async <T>(look: () => Promise<T | undefined>, what: string): Promise<T> => {
    for (let i = 0; i < 600 && child.exitCode === null; i++) {
      const found = await look().catch(() => undefined);
      if (found !== undefined) return found;
      await clock.sleep(100);
    }
    throw new Error(`never: ${what}. The agent said: ${said}`);
  };
  await until(() => server.devices({ signal }), '--adb starts the server');
  await adb('connect', serial);
  const seen = await until(
    async () =>
      (await client.devices({ signal })).find(
        (d) => /Test Phone.* on bench/.test(d.label) && !d.obstacle && d.state === 'adopted',
      ),
    'the phone is offered',
  );
  t.match(seen, { kind: 'agent', state: 'adopted', target: { runtime: 'onnxruntime', tier: 'native' } });
  const job = await client.ended(
    await client.startMeasurement({ model, device: seen.id, protocol: 'quick' }, { signal }),
    { signal, clock, everyMs: 50 },
  );
  const { measurement } = job;
  t.match(
    measurement,
    { deviceId: seen.id, provenance: 'measured', manifest: { runner: 'onnxruntime_perf_test' } },
    job.problem?.detail ?? '',
  );
  t.ok(
    Math.abs(measurement!.latency!.rawUs.median - 2000) < 1,
    `${measurement?.latency?.rawUs.median} us, as the runner printed on the phone`,
  );
  t.equal(
    String(adbd.files.get('/data/local/tmp/hilda/onnxruntime_perf_test')),
    'stands in for a program of the phone',
  );
  t.ok(phone.ran.length > 0 && phone.opened.length === 0, 'no browser was opened');
  child.kill('SIGTERM');
  t.equal(await ended, 0, said);
});

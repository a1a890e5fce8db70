import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { DaemonClient } from '../../daemon/api/client.js';
import { systemClock } from '../../daemon/core/clock.js';
import { FakeDriver } from '../../daemon/devices/fake/driver.js';
import { tfliteReferences } from '../../daemon/measure/tflite-references.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { Daemon } from '../../daemon/process/daemon.js';
import { freePort, openAdb } from '../android/adb-bench.js';
import { openPhone } from '../android/phone.js';
import { benchmarkModel, perfTest } from '../android/runner-programs.js';
import { openShellPhone } from '../android/shell-phone.js';
import { checkTunnel } from '../android/tunnel.js';
import { doublingNetwork } from '../contract/device-contract.js';
import { openChromium } from '../devices/chromium.js';
import { knock } from '../devices/join-bench.js';
import { ownerFetch } from '../owner-fetch.js';

t.setTimeout(600_000);
const signal = AbortSignal.timeout(600_000);

async function until<T>(look: () => Promise<T | undefined>, what: string): Promise<T> {
  for (let i = 0; i < 3000; i++) {
    const found = await look();
    if (found !== undefined) return found;
    await systemClock.sleep(100);
  }
  throw new Error(`never: ${what}`);
}

t.test('a phone on a cable and a page by invitation, measured through the whole daemon', async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'hilda-phone-'));
  t.teardown(() => rm(dataDir, { recursive: true, force: true, maxRetries: 3 }));
  const { adb, port } = await openAdb(t);
  const daemon = new Daemon({
    dataDir,
    port: 0,
    clock: systemClock,
    drivers: [new FakeDriver()],
    adb: { port, phonePort: await freePort() },
  });
  const url = await daemon.start(signal);
  t.teardown(() => daemon.stop());
  const client = new DaemonClient(url);
  const options = { signal };
  const model = (await client.uploadModel(writeOnnx(doublingNetwork()), options)).sha256;
  const device = (id: (id: string) => boolean) =>
    until(
      async () => (await client.devices(options)).find((d) => id(d.id) && d.present && !d.obstacle),
      'a device',
    );
  const measure = async (id: string) => {
    const job = await client.ended(
      await client.startMeasurement({ model, device: id, protocol: 'quick' }, options),
      { ...options, clock: systemClock, everyMs: 50 },
    );
    return job;
  };

  // How long it takes is the figure of `npm run bench -- pairing`.
  await t.test('by invitation: from the address to the first sample', async (t) => {
    const context = await openChromium(t);
    const page = await context.newPage();
    const { addresses, pairing } = await client.invite('page', options);
    const runtimes: string[] = [];
    page.on('request', (request) => void (request.url().endsWith('.wasm') && runtimes.push(request.url())));
    const runtimeCame = page.waitForEvent('requestfinished', (request) => request.url().endsWith('.wasm'));
    await page.goto(addresses[0]!.url);
    const joined = await device((id) => /^browser-[0-9a-f]+$/.test(id));
    t.equal(joined.state, 'adopted', 'an invited page needs no adoption');
    t.match(
      (await client.joiners(options)).find((joiner) => joiner.pairing === pairing),
      { id: joined.id },
    );
    await runtimeCame;
    t.pass('the runtime came in while nothing was asked of the page yet');
    t.match(await measure(joined.id), { measurement: { deviceId: joined.id } });
    t.equal(
      runtimes.length,
      1,
      'and serves the calibration and the measurement, each in a worker of its own',
    );
    await client.revoke(joined.id, options);
    await page.getByTestId('link').filter({ hasText: 'Not let in' }).waitFor();
    t.match(await measure(joined.id), { problem: { code: 'DEVICE_GONE' } });
  });

  await t.test(
    'by cable: seen as it is plugged in, adopted, opened, measured, gone as it leaves',
    async (t) => {
      const browser = await openChromium(t);
      const { phone, adbd, serial } = await openPhone(t);
      phone.onIntent = (address) => void browser.newPage().then((page) => page.goto(address).catch(() => {}));
      await adb('connect', serial);
      const seen = await device((id) => id.startsWith('phone-'));
      t.match(seen, { state: 'sighted', kind: 'adb', label: 'Emulated Test Phone 1' });
      await client.adopt(seen.id, options);
      // Somebody of this machine guesses; the phone comes by the same address, and is let in all the same.
      const door = `${url.replace('http', 'ws')}/v1/join`;
      for (let n = 0; n < 10; n++) t.equal(await knock(door, { token: `guess-${n}` }), 'PAIRING_REFUSED');
      t.equal(await knock(door, { token: 'guess' }), 'ATTEMPTS_LIMITED');
      const { measurement } = await measure(seen.id);
      t.match(measurement, { deviceId: seen.id, provenance: 'measured', target: { tier: 'isolated' } });
      t.ok(measurement!.latency!.rawUs.median > 0);
      const { rounds } = (await (
        await ownerFetch(`${url}/v1/measurements/${measurement!.id}/samples`)
      ).json()) as {
        rounds: unknown[];
      };
      t.ok(rounds.length >= 3, `${rounds.length} rounds in the store`);
      t.match(measurement!.manifest, { secure: true, isolated: true });
      await checkTunnel(t, phone.opened.at(-1)!);
      adbd.unplug();
      await adb('disconnect', serial);
      await until(
        async () => ((await client.device(seen.id, options)).present ? undefined : true),
        'it is gone',
      );
      t.match(await measure(seen.id), { state: 'failed', problem: { code: 'DEVICE_GONE' } });
      t.match(await measure('fake-0'), { state: 'done' }, 'the others go on');
    },
  );
});

t.test('a TensorFlow Lite file on chosen cores of a phone, through the whole daemon', async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'hilda-native-'));
  t.teardown(() => rm(dataDir, { recursive: true, force: true, maxRetries: 3 }));
  const { adb, port } = await openAdb(t);
  const { serial } = await openShellPhone(t);
  const runners = ['onnxruntime_perf_test', 'benchmark_model'].map((name) => join(dataDir, name));
  await writeFile(runners[0] as string, perfTest('today'));
  await writeFile(runners[1] as string, benchmarkModel);
  const daemon = new Daemon({
    dataDir: join(dataDir, 'state'),
    port: 0,
    clock: systemClock,
    adb: { port, runners, cores: ['big', 'prime'] },
  });
  const client = new DaemonClient(await daemon.start(signal));
  t.teardown(() => daemon.stop());
  await adb('connect', serial);
  const device = (suffix: string) =>
    until(
      async () =>
        (await client.devices({ signal })).find((d) => d.id.endsWith(suffix) && d.present && !d.obstacle),
      `the phone ${suffix}`,
    );
  const { id, target } = await device('-tflite-big');
  t.match(target, { runtime: 'tflite', tier: 'native, big cores 4-6' });
  // They are seen one after another. A phone that was seen before it told its name has one record more.
  const own = id.slice(0, 'phone-123456'.length);
  const ofThePhone = async () =>
    (await client.devices({ signal }))
      .map((one) => one.id.split(own))
      .flatMap(([, variant]) => variant ?? []);
  await until(
    async () => (await ofThePhone()).length >= 4 || undefined,
    'each of two runners on two kinds of cores',
  );
  t.same((await ofThePhone()).sort(), ['-big', '-prime', '-tflite-big', '-tflite-prime']);
  await client.adopt(id, { signal });
  const measure = async (bytes: Uint8Array) => {
    const { sha256 } = await client.uploadModel(bytes, { signal });
    const job = await client.ended(
      await client.startMeasurement({ model: sha256, device: id, protocol: 'quick' }, { signal }),
      { signal, clock: systemClock, everyMs: 50 },
    );
    return job;
  };
  const { measurement, problem } = await measure(tfliteReferences().convolution);
  t.match(
    measurement,
    {
      target,
      manifest: {
        ranFileAsGiven: true,
        statistic: /unknown/,
        cores: { asked: 'big', mask: '70' },
        runnerProvenance: { name: 'benchmark_model', sha256: /^[0-9a-f]{64}$/ },
      },
    },
    problem?.detail ?? '',
  );
  t.ok(Math.abs(measurement!.latency!.rawUs.median - 3001) <= 1, `${measurement!.latency!.rawUs.median} us`);
  t.notHas(measurement!.target, { network: String }, 'the file itself ran');
  t.match(await measure(writeOnnx(doublingNetwork())), {
    state: 'failed',
    problem: { code: 'RUNNER_MISMATCH' },
  });
});

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { systemClock } from '../../daemon/core/clock.js';
import { AdbDriver } from '../../daemon/devices/adb/driver.js';
import type { Sighting } from '../../daemon/devices/contract.js';
import { freePort, openAdb } from '../android/adb-bench.js';
import { Adbd } from '../android/adbd.js';
import { openPhone, properties } from '../android/phone.js';
import { contractProtocol, doublingNetwork } from '../contract/device-contract.js';
import { openChromium } from './chromium.js';
import { openJoinBench } from './join-bench.js';

t.setTimeout(280_000);
const signal = AbortSignal.timeout(280_000);

async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let i = 0; i < 1500; i++) {
    if (await holds()) return;
    await systemClock.sleep(20);
  }
  throw new Error(`never: ${what}`);
}

async function see(driver: AdbDriver): Promise<Sighting[]> {
  const seen: Sighting[] = [];
  for await (const sighting of driver.discover({ signal })) seen.push(sighting);
  return seen;
}

t.test('the real adb server and an emulated phone: trust, shell, files, tunnels', async (t) => {
  const { adb, server } = await openAdb(t);
  const { adbd, serial } = await openPhone(t);
  const lists: string[] = [];
  const life = new AbortController();
  const tracking = server.track(life.signal, (devices) =>
    lists.push(devices.map(({ state }) => state).join() || 'none'),
  );
  tracking.catch(() => {});
  t.ok(await server.available({ signal }));
  await adb('connect', serial);
  const state = async () =>
    (await server.devices({ signal })).find((device) => device.serial === serial)?.state;
  await until(async () => (await state()) === 'device', 'the phone trusts this computer');
  const { offers } = adbd;
  t.ok(offers >= 1, 'a key that it did not know was offered');
  t.match(await server.shell(serial, 'exit 7', { signal }), { exitCode: 7, stderr: 'as told\n', stdout: '' });
  t.match(await server.shell(serial, 'nonsense', { signal }), { exitCode: 127 });
  const bytes = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 31) % 251);
  await server.push(serial, '/data/local/tmp/x', bytes, 0o644, { signal });
  t.ok(adbd.files.get('/data/local/tmp/x')?.equals(Buffer.from(bytes)), 'every byte arrived');
  await t.rejects(server.push(serial, '/system/x', bytes, 0o644, { signal }), {
    code: 'ADB_FAILED',
    message: /read-only/,
  });
  await t.rejects(server.shell('no-such-phone', 'true', { signal }), { code: 'DEVICE_GONE' });
  await t.rejects(server.shell('a; reboot', 'true', { signal }), { code: 'ADB_FAILED' });

  await adb('disconnect', serial);
  await until(() => lists.at(-1) === 'none', 'the list says that it is gone');
  await adb('connect', serial);
  await until(async () => (await state()) === 'device', 'it is back');
  t.equal(adbd.offers, offers, 'the key is known by now');
  t.ok(adbd.signatures >= 1);
  life.abort();
});

t.test('no adb server is no phone, and a phone that trusts nobody is an obstacle', async (t) => {
  const bench = await openJoinBench(t);
  const shared = { clock: systemClock, pages: bench.pages, keys: bench.keys, joinPort: () => bench.port };
  const { AdbServer } = await import('../../daemon/devices/adb/adb-server.js');
  const nowhere = new AdbServer({ port: await freePort(), clock: systemClock });
  t.same(await see(new AdbDriver({ adb: nowhere, ...shared })), []);

  const { adb, server } = await openAdb(t);
  const { adbd, serial } = await openPhone(t, { trust: false });
  const driver = new AdbDriver({ adb: server, ...shared });
  void adb('connect', serial);
  await until(() => adbd.offers > 0, 'the phone was asked');
  await until(async () => (await see(driver)).some(({ obstacle }) => obstacle !== null), 'it is listed');
  const [blocked] = await see(driver);
  t.match(blocked?.obstacle, /trust/);
  await t.rejects(driver.open(blocked!, { signal }), { code: 'DEVICE_GONE' });
});

t.test(
  'a phone that comes by network is nobody until it trusts this computer, and never somebody else',
  async (t) => {
    const bench = await openJoinBench(t);
    const { adb, server } = await openAdb(t);
    const shared = { clock: systemClock, pages: bench.pages, keys: bench.keys, joinPort: () => bench.port };
    const driver = new AdbDriver({ adb: server, ...shared });
    const port = await freePort();
    const serial = `127.0.0.1:${port}`;
    let adbd: Adbd | undefined;
    t.teardown(() => adbd?.stop());
    /** The phone at the address now: a phone of this serial number, which trusts this computer or not. */
    const plug = async (serialno: string, trust: boolean): Promise<Sighting> => {
      await adb('disconnect', serial);
      await adbd?.stop();
      await until(async () => (await see(driver)).length === 0, 'nobody is there');
      const own = { ...properties, 'ro.serialno': serialno };
      const shell = async (command: string) => ({
        stdout: [...command.matchAll(/getprop ([\w.]+)/g)]
          .map(([, name]) => `${own[name as keyof typeof own] ?? ''}\n`)
          .join(''),
      });
      adbd = new Adbd({ port, properties: own, trust, shell });
      await adbd.start();
      void adb('connect', serial);
      await until(
        async () => (await see(driver)).some(({ obstacle }) => (obstacle === null) === trust),
        'seen',
      );
      return (await see(driver))[0]!;
    };
    const stranger = await plug('FIRST', false);
    t.match(stranger.label, new RegExp(`at ${serial}, unnamed`));
    const first = await plug('FIRST', true);
    t.not(first.id, stranger.id, 'its name is its own, not its address');
    const wary = await plug('FIRST', false);
    t.equal(wary.id, first.id, 'while the daemon runs, the address is known to be its own');
    t.match(wary, { label: first.label, obstacle: /trust|asked|offline/i });
    const second = await plug('SECOND', true);
    t.notOk([first.id, stranger.id].includes(second.id), 'another phone at the address is another device');
    const restarted = new AdbDriver({ adb: server, ...shared });
    t.equal((await see(restarted))[0]!.id, second.id);
    t.equal((await plug('FIRST', true)).id, first.id);
  },
);

t.test('daemon -> adb server -> Android -> Chromium -> samples', async (t) => {
  const bench = await openJoinBench(t);
  const { adb, server } = await openAdb(t);
  const { phone, adbd, serial } = await openPhone(t);
  const browser = await openChromium(t);
  phone.onIntent = (url) => void browser.newPage().then((page) => page.goto(url).catch(() => {}));
  const driver = new AdbDriver({
    adb: server,
    clock: systemClock,
    pages: bench.pages,
    keys: bench.keys,
    joinPort: () => bench.port,
    phonePort: await freePort(),
  });
  await adb('connect', serial);
  await until(
    async () => (await see(driver)).some(({ obstacle }) => obstacle === null),
    'the phone is ready',
  );
  const [sighting] = await see(driver);
  t.match(sighting, { kind: 'adb', label: 'Emulated Test Phone 1', target: { model: 'Test Phone 1' } });
  const device = await driver.open(sighting!, { signal });
  t.match(device.target, { runtime: 'onnxruntime-web', tier: 'isolated', model: 'Test Phone 1' });
  const measurement = await device.measure(doublingNetwork(), contractProtocol, { signal });
  t.ok(measurement.rounds.length >= 3 && measurement.latency!.rawUs.median > 0);
  t.match(measurement.manifest, {
    secure: true,
    isolated: true,
    before: { phone: { thermalStatus: 0, batteryPercent: 81, batteryCelsius: 30.5, powered: true } },
    after: { phone: { coreKhz: [1800000, 2400000] } },
  });
  t.ok((measurement.manifest.timerStepUs as number) < 50);

  phone.thermalStatus = 2;
  const hot = await device.measure(doublingNetwork(), contractProtocol, { signal });
  t.equal(hot.verdict, 'throttled', hot.reason);
  phone.thermalStatus = 0;

  // Disconnects during a measurement, and comes back by another way as the same phone.
  const long = { ...contractProtocol, ciHalfWidth: 1e-9, maxRounds: 10_000, maxMs: 60_000 };
  const leaving = device.measure(doublingNetwork(), long, {
    signal,
    onProgress: ({ step }) => void (step === 'rounds' && adbd.unplug()),
  });
  await t.rejects(leaving, { code: 'DEVICE_GONE' });
  await adb('disconnect', serial);
  await until(async () => (await see(driver)).length === 0, 'the phone is off the list');
  const other = new Adbd({ port: 0, properties, trust: true, shell: phone.shell });
  const again = `127.0.0.1:${await other.start()}`;
  t.teardown(() => other.stop());
  await adb('connect', again);
  await until(async () => (await see(driver)).some(({ obstacle }) => obstacle === null), 'the phone is back');
  t.equal((await see(driver))[0]?.id, sighting!.id, 'it is the same phone under another serial');
  const back = await driver.open((await see(driver))[0]!, { signal });
  t.ok(await back.measure(doublingNetwork(), contractProtocol, { signal }));
  t.equal(phone.opened.length, 2);
});

t.test('a native runner is pushed, run and read', async (t) => {
  const bench = await openJoinBench(t);
  const { adb, server } = await openAdb(t);
  const { phone, adbd, serial } = await openPhone(t);
  const folder = await mkdtemp(join(tmpdir(), 'hilda-runner-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const runnerPath = join(folder, 'onnxruntime_perf_test');
  await writeFile(runnerPath, 'stands in for a program of the phone');
  const driver = new AdbDriver({
    adb: server,
    clock: systemClock,
    pages: bench.pages,
    keys: bench.keys,
    joinPort: () => bench.port,
    runners: [runnerPath],
  });
  await adb('connect', serial);
  await until(
    async () => (await see(driver)).some(({ obstacle }) => obstacle === null),
    'the phone is ready',
  );
  const [sighting] = await see(driver);
  const device = await driver.open(sighting!, { signal });
  const { latency, memory, target } = await device.measure(doublingNetwork(), contractProtocol, { signal });
  t.match(target, { runtime: 'onnxruntime', provider: 'cpu', tier: 'native' });
  t.ok(Math.abs(latency!.rawUs.median - 2000) < 1, `${latency!.rawUs.median} us, as the runner printed`);
  t.ok(Math.abs(latency!.ratio.median - 2) < 1e-3);
  t.equal(memory.runPeakRssBytes, 34567168);
  t.ok(adbd.files.get('/data/local/tmp/hilda/onnxruntime_perf_test')?.length);
  t.ok(phone.ran.every((command) => command.includes("'-e' 'cpu'")));
});

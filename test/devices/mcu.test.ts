import t from 'tap';
import { systemClock } from '../../daemon/core/clock.js';
import type { DeviceId } from '../../daemon/core/ids.js';
import type { Driver, Sighting } from '../../daemon/devices/contract.js';
import { findFirmware, loadBoardProfiles } from '../../daemon/devices/mcu/board-profile.js';
import { compileForBoard } from '../../daemon/devices/mcu/board-program.js';
import { examine, type Patient, udevRules } from '../../daemon/devices/mcu/doctor.js';
import { MlperfTinyDriver } from '../../daemon/devices/mcu/mlperf-tiny/driver.js';
import { type PortFacts, portIdentity } from '../../daemon/devices/mcu/port-identity.js';
import { PortTurns } from '../../daemon/devices/mcu/port-turns.js';
import { SerialDriver } from '../../daemon/devices/mcu/serial-driver.js';
import { DevicePool } from '../../daemon/fleet/device-pool.js';
import { openStore } from '../../daemon/store/open-store.js';
import { findQemu, spawnBoard } from '../../firmware-bridge/emulator/qemu-board.js';
import { type Hello, openSerial, type Transport } from '../../firmware-bridge/link/index.js';
import { mixedConvolutions } from '../compiler/networks.js';
import { contractProtocol, doublingNetwork } from '../contract/device-contract.js';

t.setTimeout(900_000);
const { signal } = new AbortController();
const noQemu = findQemu() === null && !process.env.CI ? 'qemu-system-arm is not installed' : false;

async function sightings(driver: Driver): Promise<Sighting[]> {
  const list: Sighting[] = [];
  for await (const sighting of driver.discover({ signal })) list.push(sighting);
  return list;
}

t.test('a port keeps its name over sockets and systems, and never goes by its number', async (t) => {
  const probe = { vendorId: '2e8a', productId: '000c' };
  const one = {
    ...probe,
    path: '/dev/ttyACM0',
    serialNumber: 'E6614C311B4C8F2D',
    pnpId: 'usb-x_E6614C311B4C8F2D-if01',
  };
  t.equal(portIdentity(one), portIdentity({ ...one, path: '/dev/ttyACM7' }));
  t.equal(
    portIdentity(one),
    portIdentity({
      path: 'COM5',
      vendorId: '2E8A',
      productId: '000C',
      serialNumber: 'Raspberry_Pi_e6614c311b4c8f2d',
      pnpId: 'USB\\VID_2E8A&PID_000C&MI_01\\6&1',
    }),
  );
  t.not(
    portIdentity(one),
    portIdentity({ ...one, pnpId: 'usb-x_E6614C311B4C8F2D-if03' }),
    'another interface',
  );
  t.not(portIdentity(one), portIdentity({ ...one, serialNumber: 'E6614C311B4C8F2E' }), 'another board');
  const bare = { ...probe, path: '/dev/ttyACM0', locationId: '1-2' };
  t.equal(portIdentity(bare), portIdentity({ ...bare, path: '/dev/ttyACM1' }), 'no serial number: by socket');
  t.equal(portIdentity({ path: '/dev/ttyS0' }), 'path:/dev/ttyS0');
});

t.test(
  'a board on a serial port: found, measured, unplugged, back by itself',
  { skip: noQemu },
  async (t) => {
    const image = findFirmware('mps2-an386') as NonNullable<ReturnType<typeof findFirmware>>;
    const qemu = findQemu() as string;
    const plug = () => spawnBoard(qemu, { machine: 'mps2-an386', imagePath: image.path, signal });
    let { child, path } = await plug();
    t.teardown(() => child.kill('SIGKILL'));
    const usb = { vendorId: '0483', productId: '374b', serialNumber: '066CFF' };
    let plugged = true;
    const others: PortFacts[] = [
      { path: '/dev/null', vendorId: 'dead', productId: 'beef' },
      { path: '/dev/ttyS99' },
    ];
    const profiles = new Map(loadBoardProfiles());
    const emulated = profiles.get('mps2-an386') as NonNullable<ReturnType<typeof profiles.get>>;
    // The vendor's adapter is on two other boards as well: hello tells which it is.
    profiles.set('mps2-an386', { ...emulated, usb: [{ vendorId: '0483' }] });
    const troubles: string[] = [];
    const driver = new SerialDriver({
      profiles,
      pingMs: 200,
      listPorts: async () => [...others, ...(plugged ? [{ ...usb, path }] : [])],
      onTrouble: (error) => troubles.push(error.message),
    });
    const [seen, ...more] = await sightings(driver);
    t.match(seen, { kind: 'mcu', obstacle: null, target: { model: emulated.label, tier: 'emulated' } });
    t.match(seen?.id, /^mps2-an386-[0-9a-f]{6}$/);
    t.equal(more.length, 0, 'ports of nobody are left alone');

    const device = await driver.open(seen as Sighting, { signal });
    t.teardown(() => device.close());
    await t.rejects(
      openSerial({ path, baud: 115_200 }),
      { code: 'DEVICE_BUSY' },
      'a second daemon finds it locked',
    );
    const measured = await device.measure(doublingNetwork(), contractProtocol, { signal });
    t.equal(measured.verdict, 'valid', measured.reason);
    t.equal(measured.latency, null);
    t.equal(measured.counts?.unit, 'instructions');
    t.equal(measured.manifest.chipId, '0'.repeat(32), 'this board has no chip id');
    const seenAs = async (port: PortFacts) => {
      const [found] = await sightings(new SerialDriver({ profiles, listPorts: async () => [port] }));
      return found;
    };
    const elsewhere = await seenAs({ ...usb, serialNumber: '066CFE', path });
    t.not(elsewhere?.id, seen?.id, 'without one, the serial number tells boards apart');
    const unnamed = await seenAs({ ...usb, serialNumber: undefined, path });
    t.not(unnamed?.id, seen?.id);
    t.not(unnamed?.id, (await seenAs({ ...usb, serialNumber: undefined, path: '/dev/ttyS98' }))?.id);
    t.match(elsewhere?.obstacle, /./, 'a port that is in use is told, not asked');

    plugged = false;
    child.kill('SIGKILL');
    const lost = await device
      .measure(doublingNetwork(), contractProtocol, { signal })
      .catch((error) => error);
    t.match(lost.code, /^DEVICE_(FAILED|GONE)$/, 'as the line broke, or after it');
    t.ok(lost.retryable);
    t.same(await sightings(driver), []);
    ({ child, path } = await plug());
    plugged = true;
    let again: Awaited<ReturnType<typeof device.measure>> | undefined;
    for (let attempt = 0; attempt < 50 && !again; attempt++) {
      again = await device.measure(doublingNetwork(), contractProtocol, { signal }).catch(() => undefined);
      if (!again) await systemClock.sleep(100);
    }
    t.same(again?.counts, measured.counts, 'the same board, the same figures');

    child.kill('SIGSTOP');
    const hung = await device
      .measure(doublingNetwork(), contractProtocol, { signal })
      .catch((error) => error);
    t.equal(hung.code, 'DEVICE_FAILED', 'a board that hangs is not waited for');
    t.ok(troubles.length > 0 || hung.details.unanswered, `${troubles}`);
    child.kill('SIGCONT');
  },
);

t.test('one byte too few of SRAM or of flash: refused, with what is missing and where', async (t) => {
  const profile = loadBoardProfiles().get('rp2040-pico') as NonNullable<
    ReturnType<ReturnType<typeof loadBoardProfiles>['get']>
  >;
  const hello = (workBytes: number, slotBytes = 2 ** 20) =>
    ({ workBytes, slotBytes, nativeLayout: 1, poolBytes: 0 }) as Hello;
  const network = mixedConvolutions(1);
  const build = (board: Hello) => compileForBoard(network, profile, board, { weights: 'real' });
  const refused = await build(hello(1024)).catch((error) => error);
  t.equal(refused.code, 'DEVICE_OUT_OF_MEMORY');
  const enough = 1024 + refused.details.missingBytes;
  const { compiled } = await build(hello(enough));
  const short = await build(hello(enough - 1)).catch((error) => error);
  t.match(short, {
    code: 'DEVICE_OUT_OF_MEMORY',
    hint: /^1 fewer bytes live at \S+ would fit/,
    details: { missingBytes: 1, arenaBytes: compiled.arenaBytes, peak: { operator: compiled.peak.operator } },
  });
  t.ok(
    compiled.records.some(({ name }) => name === compiled.peak.operator),
    'the peak is an operator',
  );
  t.ok(await build(hello(enough, compiled.flashBytes)));
  await t.rejects(build(hello(enough, compiled.flashBytes - 1)), {
    code: 'DEVICE_OUT_OF_MEMORY',
    details: { flashBytes: compiled.flashBytes, limitBytes: compiled.flashBytes - 1 },
  });
});

/** MLPerf Tiny's reference firmware, as its sources describe it, with a model that takes 4,000 us. */
function fakeFirmware(
  options: {
    silent?: boolean;
    model?: string;
    /** Inferences end when this does. */
    gate?: () => Promise<void>;
    onOpened?: (transport: { readonly lose: () => void }) => void;
    onClosed?: () => void;
  } = {},
): Transport {
  let lost: (reason: string) => void = () => {};
  options.onOpened?.({ lose: () => lost('the port closed') });
  let listener: (bytes: Uint8Array) => void = () => {};
  let pending = '';
  let expected = 0;
  let got = 0;
  let clockUs = 2 ** 32 - 30_000;
  const say = (...lines: string[]): void => {
    const text = [...lines, 'm-ready'].map((line) => `${line}\r\n`).join('');
    // In two pieces: lines do not arrive whole.
    listener(new TextEncoder().encode(text.slice(0, 7)));
    listener(new TextEncoder().encode(text.slice(7)));
  };
  const lap = (us: number): string => {
    clockUs = (clockUs + us) % 2 ** 32;
    return `m-lap-us-${clockUs}`;
  };
  const obey = (command: string): unknown => {
    const [verb, first = '', second = '10'] = command.split(' ');
    if (verb === 'name') return say('m-name-dut-[acme board]');
    if (verb === 'profile')
      return say('m-profile-[ULPMark for tinyML Firmware V0.0.1]', `m-model-[${options.model ?? 'ic01'}]`);
    if (verb === 'db' && first === 'load') {
      expected = Number(second);
      got = 0;
      return say(`m-[Expecting ${expected} bytes]`);
    }
    if (verb === 'db') {
      got += first.length / 2;
      return got >= expected ? say('m-load-done') : say();
    }
    if (verb === 'infer') {
      const runs = Number(first);
      return say(
        `m-warmup-start-${second}`,
        'm-warmup-done',
        `m-infer-start-${runs}`,
        lap(5),
        lap(4000 * runs),
        'm-infer-done',
        'm-results-[0.100,0.900]',
      );
    }
    if (verb === 'results') return say('m-results-[0.100,0.900]');
    return say(`e-[Unknown command: ${verb}]`);
  };
  return {
    name: 'fake firmware',
    write: async (bytes) => {
      if (options.silent) return;
      pending += new TextDecoder().decode(bytes);
      const commands = pending.split('%');
      pending = commands.pop() ?? '';
      for (const command of commands) {
        if (command.length > 80) throw new Error('longer than the firmware takes');
        if (command.startsWith('infer ')) void options.gate?.().then(() => obey(command));
        if (!command.startsWith('infer ') || !options.gate) obey(command);
      }
    },
    onBytes: (heard) => {
      listener = heard;
    },
    onClose: (heard) => {
      lost = heard;
    },
    close: async () => options.onClosed?.(),
  };
}

t.test('MLPerf Tiny: any such firmware is measured, whatever its vendor', async (t) => {
  const port: PortFacts = { path: '/dev/ttyACM3', vendorId: '0483', productId: '374b', serialNumber: 'AA' };
  const driver = new MlperfTinyDriver({
    listPorts: async () => [port],
    openPort: async () => fakeFirmware(),
  });
  const [seen] = await sightings(driver);
  t.match(seen, {
    label: 'acme board (MLPerf Tiny, ic01)',
    target: { runtime: 'mlperf-tiny', runtimeVersion: 'ic01' },
  });
  const device = await driver.open(seen as Sighting, { signal });
  const measured = await device.measure(doublingNetwork(3, 32), contractProtocol, { signal });
  t.equal(measured.verdict, 'valid', measured.reason);
  t.equal(measured.provenance, 'measured');
  t.equal(measured.latency?.normalisedUs, 4000, 'over the wrap of its clock');
  t.equal(measured.latency?.reference, 'none');
  const aborted = new AbortController();
  aborted.abort();
  await t.rejects(device.measure(doublingNetwork(), contractProtocol, { signal: aborted.signal }), {
    code: 'INTERRUPTED',
  });
  await device.close();
  await t.rejects(device.measure(doublingNetwork(), contractProtocol, { signal }), { code: 'DEVICE_FAILED' });
  const silent = new MlperfTinyDriver({
    listPorts: async () => [port, { path: '/dev/ttyUSB0', vendorId: 'aaaa' }],
    openPort: async () => fakeFirmware({ silent: true }),
  });
  t.same(await sightings(silent), []);
});

t.test('MLPerf Tiny boards come and go, beside a driver that asks the same ports', async (t) => {
  const board: PortFacts = { path: '/dev/ttyACM3', vendorId: '0483', productId: '374b', serialNumber: 'AA' };
  const stranger: PortFacts = { ...board, path: '/dev/ttyACM9', serialNumber: 'BB' };
  let ports: PortFacts[] = [];
  const opened: string[] = [];
  const open = new Set<string>();
  let booting = true;
  let release: () => void = () => {};
  let gate: Promise<void> | undefined;
  let lose: () => void = () => {};
  const openPort = (who: string, path: string): Transport => {
    if (open.has(path)) t.fail(`${who} opens ${path} beside another`);
    open.add(path);
    opened.push(`${who} ${path}`);
    const silent = path === stranger.path || booting;
    if (who === 'mlperf' && path === board.path) booting = false;
    return fakeFirmware({
      silent,
      gate: () => gate ?? Promise.resolve(),
      onOpened: (transport) => {
        if (path !== stranger.path) lose = transport.lose;
      },
      onClosed: () => void open.delete(path),
    });
  };
  const shared = { turns: new PortTurns(), listPorts: async () => ports, portsMs: 20 };
  const serial = new SerialDriver({ ...shared, openPort: async ({ path }) => openPort('hilda', path) });
  const mlperf = new MlperfTinyDriver({ ...shared, openPort: async (path) => openPort('mlperf', path) });
  const store = await openStore({ dataDir: ':memory:', clock: systemClock });
  const pool = new DevicePool({ store, drivers: [serial, mlperf], clock: systemClock, retryMs: 10 });
  t.teardown(async () => {
    await pool.stop();
    await store.close();
  });
  await pool.start(signal);
  const present = async (is: boolean): Promise<DeviceId> => {
    for (let i = 0; i < 3000; i++) {
      const [device] = (await store.devices()).filter(({ id }) => pool.presence(id).present === is);
      if (device) return device.id;
      await systemClock.sleep(10);
    }
    throw new Error(`no board is ${is ? 'there' : 'gone'}`);
  };
  const measure = (id: DeviceId) =>
    pool.withDevice(id, { holder: 'test', signal }, (device) =>
      device.measure(doublingNetwork(), contractProtocol, { signal }),
    );

  ports = [board, stranger];
  const id = await present(true);
  t.match(await store.device(id), { kind: 'mlperf-tiny', label: 'acme board (MLPerf Tiny, ic01)' });
  await pool.adopt(id);
  t.equal((await measure(id)).verdict, 'valid');
  const asks = () => opened.filter((one) => one === `mlperf ${stranger.path}`).length;
  await pool.discover({ signal });
  await pool.discover({ signal });
  t.equal(asks(), 2, 'a port that keeps silent is left alone');

  // Both drivers look while it measures, and neither sees a board that cannot be opened.
  gate = new Promise((resolve) => {
    release = resolve;
  });
  const before = opened.length;
  const measuring = measure(id);
  const seen = await pool.discover({ signal });
  t.same(
    seen.map((one) => [one.id, one.obstacle]),
    [[id, null]],
  );
  t.notOk(
    opened.slice(before).some((one) => one.endsWith(board.path)),
    'nobody asked it meanwhile',
  );

  const lost = t.rejects(measuring, { code: 'DEVICE_GONE' });
  ports = [stranger];
  lose();
  await lost;
  t.equal(await present(false), id);
  await t.rejects(measure(id), { code: 'DEVICE_GONE' });
  release();
  gate = undefined;
  ports = [stranger, { ...board, path: '/dev/ttyACM4' }];
  t.equal(await present(true), id, 'the same board in another place');
  t.equal((await measure(id)).verdict, 'valid');
  t.equal((await store.devices()).length, 1);
});

t.test('the doctor names what stands in the way, and its remedy', async (t) => {
  const port: PortFacts = { path: '/dev/ttyACM0', vendorId: '0483', productId: '374b' };
  const healthy: Patient = {
    listPorts: async () => [port, { path: '/dev/ttyS0' }],
    access: () => ({ allowed: true, group: null }),
    processes: () => ['bash'],
    hasUdevRules: () => false,
    hasQemu: () => true,
    ask: async () => ({ board: 'nucleo-l4r5zi' }),
  };
  const told = async (patient: Partial<Patient>) =>
    (await examine(loadBoardProfiles(), { signal }, { ...healthy, ...patient })).map(
      ({ level, what, remedy }) => `${level}: ${what} -> ${remedy}`,
    );
  t.ok((await told({})).every((line) => line.startsWith('ok')));
  t.match((await told({ hasQemu: () => false }))[0], /advice: .*QEMU|qemu-system-arm is not installed/);
  const has = async (patient: Partial<Patient>, pattern: RegExp): Promise<void> => {
    const lines = await told(patient);
    t.ok(
      lines.some((line) => pattern.test(line)),
      lines.join(' | '),
    );
  };
  await has(
    { access: () => ({ allowed: false, group: 'dialout' }) },
    /fault: .*ttyACM0.*usermod -aG dialout/,
  );
  await has({ access: () => ({ allowed: false, group: null }) }, /fault: .*hilda doctor --udev/);
  await has({ processes: () => ['ModemManager'] }, /fault: ModemManager.*systemctl/);
  await has({ listPorts: async () => [] }, /advice: no serial port/);
  await has({ ask: async () => ({ code: 'DEVICE_BUSY' }) }, /advice: .*another program/);
  await has({ ask: async () => ({ code: 'FIRMWARE_MISMATCH' }) }, /fault: .*another version.*flash/i);
  await has({ ask: async () => ({ code: 'DEVICE_FAILED' }) }, /advice: .*hilda devices flash/);
  const slow: Patient['ask'] = async (_, baud) =>
    baud === 9600 ? { board: 'x' } : { code: 'DEVICE_FAILED' };
  await has({ ask: slow }, /fault: .*9600 baud -> Set "baud": 9600/);
  t.match(udevRules(loadBoardProfiles()), /ATTRS\{idVendor\}=="0483", MODE="0666"/);
});

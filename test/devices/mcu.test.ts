import t from 'tap';
import { systemClock } from '../../daemon/core/clock.js';
import type { Driver, Sighting } from '../../daemon/devices/contract.js';
import { findFirmware, loadBoardProfiles } from '../../daemon/devices/mcu/board-profile.js';
import { compileForBoard } from '../../daemon/devices/mcu/board-program.js';
import { examine } from '../../daemon/devices/mcu/doctor.js';
import type { SystemProbe } from '../../daemon/devices/mcu/doctor-probe.js';
import { type PortFacts, portIdentity } from '../../daemon/devices/mcu/port-identity.js';
import { SerialDriver } from '../../daemon/devices/mcu/serial-driver.js';
import { udevRules } from '../../daemon/devices/mcu/udev-rules.js';
import type { Graph } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';
import { findQemu, spawnBoard } from '../../firmware-bridge/emulator/qemu-board.js';
import { type Hello, openSerial } from '../../firmware-bridge/link/index.js';
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

t.test('thousands of operators in a row are compiled or refused, and never a defect', async (t) => {
  const profile = loadBoardProfiles().get('rp2040-pico') as NonNullable<
    ReturnType<ReturnType<typeof loadBoardProfiles>['get']>
  >;
  const board = { workBytes: 2 ** 20, slotBytes: 2 ** 20, nativeLayout: 1, poolBytes: 2 ** 12 } as Hello;
  const chain = (nodes: number, op: 'relu' | 'transpose'): Graph => {
    const b = new GraphBuilder({ name: 'chain' });
    let x = b.input('x', 'float32', [1, 4]);
    for (let i = 0; i < nodes; i++) x = op === 'relu' ? b.relu(x) : b.transpose(x, [0, 1]);
    b.output(x);
    return b.build();
  };
  const code = (graph: Graph) =>
    compileForBoard(graph, profile, board, { weights: 'pool' }).then(
      () => 'compiled',
      ({ code }) => code,
    );
  t.equal(await code(chain(2000, 'relu')), 'compiled');
  t.equal(await code(chain(9000, 'transpose')), 'compiled');
  t.match(await code(chain(9000, 'relu')), /^(compiled|NETWORK_TOO_LARGE)$/);
  t.equal(await code(chain(10_001, 'relu')), 'NETWORK_TOO_LARGE');
});

t.test('the doctor names what stands in the way, and its remedy', async (t) => {
  const port: PortFacts = { path: '/dev/ttyACM0', vendorId: '0483', productId: '374b' };
  const healthy: SystemProbe = {
    listPorts: async () => [port, { path: '/dev/ttyS0' }],
    access: () => ({ allowed: true, group: null }),
    processes: () => ['bash'],
    hasUdevRules: () => false,
    hasQemu: () => true,
    ask: async () => ({ board: 'nucleo-l4r5zi' }),
    askMlperfTiny: async () => ({ said: '' }),
  };
  const told = async (probe: Partial<SystemProbe>) =>
    (await examine(loadBoardProfiles(), { signal }, { ...healthy, ...probe })).map(
      ({ level, what, remedy }) => `${level}: ${what} -> ${remedy}`,
    );
  t.ok((await told({})).every((line) => line.startsWith('ok')));
  t.match((await told({ hasQemu: () => false }))[0], /advice: .*QEMU|qemu-system-arm is not installed/);
  const has = async (probe: Partial<SystemProbe>, pattern: RegExp): Promise<void> => {
    const lines = await told(probe);
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
  const silent: SystemProbe['ask'] = async () => ({ code: 'DEVICE_FAILED' });
  await has({ ask: silent }, /advice: .*nothing answers at any baud rate.*hilda devices flash/);
  const vendors = { ask: silent, askMlperfTiny: async () => ({ name: 'acme board', model: 'ic01' }) };
  await has(vendors, /ok: .*MLPerf Tiny firmware answers at 115200 baud: acme board with ic01/);
  t.notMatch((await told(vendors)).join(), /flash/i, 'a board that can be measured keeps its firmware');
  const energy: SystemProbe['askMlperfTiny'] = async (_, baud) =>
    baud === 9600 ? { name: 'acme board', model: 'ic01' } : { said: '' };
  await has({ ask: silent, askMlperfTiny: energy }, /advice: .*9600 baud.*for performance/);
  const strange = { ask: silent, askMlperfTiny: async () => ({ said: '$GPGGA,1,2' }) };
  await has(strange, /advice: .*does not know says "\$GPGGA,1,2"/);
  t.notMatch((await told(strange)).join(), /hilda devices flash/);
  const slow: SystemProbe['ask'] = async (_, baud) =>
    baud === 9600 ? { board: 'x' } : { code: 'DEVICE_FAILED' };
  await has({ ask: slow }, /fault: .*9600 baud -> Set "baud": 9600/);
  t.match(udevRules(loadBoardProfiles()), /ATTRS\{idVendor\}=="0483", MODE="0666"/);
});

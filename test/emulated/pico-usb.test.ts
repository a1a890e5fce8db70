import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RP2040, USBCDC } from 'rp2040js';
import t, { type Test } from 'tap';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import type { Device, Driver } from '../../daemon/devices/contract.js';
import { findFirmware, loadBoardProfiles } from '../../daemon/devices/mcu/board-profile.js';
import { EmulatedDriver } from '../../daemon/devices/mcu/emulated-driver.js';
import { flashBoard } from '../../daemon/devices/mcu/flash-board.js';
import { systemTools } from '../../daemon/devices/mcu/flash-tools.js';
import { enterLoader, findRunning } from '../../daemon/devices/mcu/running-boards.js';
import { SerialDriver } from '../../daemon/devices/mcu/serial-driver.js';
import { PicoFlashChip } from '../../firmware-bridge/emulator/pico-flash-chip.js';
import { lineRequest } from '../../firmware-bridge/emulator/pico-usb-enumeration.js';
import { encodeFrame } from '../../firmware-bridge/link/frames.js';
import { BoardSession, type Transport } from '../../firmware-bridge/link/index.js';
import { kinds } from '../../firmware-bridge/link/messages.js';
import { mixedConvolutions } from '../compiler/networks.js';
import { doublingNetwork } from '../contract/device-contract.js';
import { fillProgram } from '../link/tiny-program.js';
import { answersAsReference } from './open-board.js';
import { type PicoOnUsb, picoHere, picoId, picoOnUsb } from './pico-here.js';

t.setTimeout(120_000);
const { signal } = new AbortController();
const profile = loadBoardProfiles().get('rp2040-pico')!;
const firmware = findFirmware('rp2040-pico')!;
let nonces = 1;
/** Runs for minutes. */
const longProgram = (): Uint8Array => fillProgram(1, 4096, 60_000);
const sessionOn = (transport: Transport): BoardSession =>
  new BoardSession({ transport, nonce: () => nonces++, patience: 30 });

function plugIn(t: Test): PicoOnUsb {
  const pico = picoOnUsb();
  t.teardown(() => pico.stop());
  return pico;
}

const soon = async (what: () => boolean): Promise<void> => {
  while (!what()) await new Promise((resolve) => setImmediate(resolve));
};

t.test(
  'a host finds a serial port, with the name of the profile and the number of the flash chip',
  async (t) => {
    const { host, ready } = plugIn(t);
    const facts = await ready(1);
    t.match(facts, {
      vendorId: Number.parseInt(profile.usb[0]!.vendorId, 16),
      productId: Number.parseInt(profile.usb[0]!.productId!, 16),
      manufacturer: 'hilda',
      product: 'Raspberry Pi Pico (hilda)',
      serialNumber: 'E6614C311B4C8F2D',
    });
    const { configuration } = facts;
    t.equal(configuration.length, (configuration[2] ?? 0) | ((configuration[3] ?? 0) << 8));
    let [interfaces, ends] = [0, 0];
    for (let at = 0; at < configuration.length; at += configuration[at] || 255) {
      if (configuration[at + 1] === 4) interfaces++;
      if (configuration[at + 1] === 5) ends++;
    }
    t.same([interfaces, ends, configuration[4]], [2, 3, 2], 'as many as it says');

    await host.control(lineRequest.setCoding(921_600));
    const coding = await host.control(lineRequest.getCoding);
    if (coding === 'stall') throw new Error('no line coding');
    t.same([new DataView(coding.buffer).getUint32(0, true), coding[6]], [921_600, 8], 'reads back');
    const qualifier = { type: 0, request: 6, value: 6 << 8, index: 0, length: 10, toHost: true };
    t.equal(await host.control(qualifier), 'stall', 'a device of full speed alone');
    t.equal(await host.control({ ...qualifier, value: (3 << 8) | 9 }), 'stall', 'no such text');
    t.equal(
      (await host.control({ ...qualifier, value: 1 << 8, length: 8 })).length,
      8,
      'cut to what is asked',
    );
  },
);

t.test("rp2040js's own host finds it too, and it answers there", async (t) => {
  let cdc: USBCDC | undefined;
  let connected = false;
  let clock: { readonly nextAlarm: unknown } | undefined;
  const heard: number[] = [];
  const bus = {
    attach: (chip: RP2040) => {
      clock = chip.clock as unknown as { readonly nextAlarm: unknown };
      cdc = new USBCDC(chip.usbCtrl);
      cdc.onDeviceConnected = () => {
        connected = true;
      };
      cdc.onSerialData = (bytes) => void heard.push(...bytes);
    },
    get due() {
      return clock?.nextAlarm != null;
    },
  };
  const pico = picoHere({ bus, flashChip: new PicoFlashChip({ id: picoId }) });
  t.teardown(() => pico.stop());
  await soon(() => connected);
  let listener: (bytes: Uint8Array) => void = () => {};
  const usb: Transport = {
    name: 'USBCDC',
    write: async (bytes) => {
      for (const byte of bytes) {
        await soon(() => cdc!.txFIFO.itemCount < cdc!.txFIFO.size);
        cdc!.sendSerialByte(byte);
      }
    },
    onBytes: (heardBy) => {
      listener = heardBy;
      const pass = (): void => {
        if (heard.length > 0) listener(Uint8Array.from(heard.splice(0)));
        if (alive) setImmediate(pass);
      };
      setImmediate(pass);
    },
    onClose: () => {},
    close: async () => {},
  };
  let alive = true;
  t.teardown(() => {
    alive = false;
  });
  const session = sessionOn(usb);
  t.match(await session.hello({ signal }), { board: 'rp2040-pico', buildHash: firmware.buildHash });
  const bytes = new Uint8Array(1000).map((_, i) => i * 7);
  t.same(await session.echo(bytes, { signal }), bytes);
});

t.test('a network runs over USB in exactly the cycles that it takes over the UART', async (t) => {
  const pico = plugIn(t);
  await pico.ready(1);
  const alone = picoHere({});
  t.teardown(() => alone.stop());
  const counts: number[][] = [];
  for (const line of [pico.usb, pico.uart, alone.uart]) {
    const session = sessionOn(line);
    await session.hello({ signal });
    const { program } = await answersAsReference(t, session, profile, {
      name: line.name,
      network: mixedConvolutions(1),
    });
    counts.push(
      await session.ticks(new DataView(program.buffer, program.byteOffset).getUint32(12, true), { signal }),
    );
  }
  t.ok((counts[0] ?? []).reduce((sum, ticks) => sum + ticks, 0) > 100_000);
  t.same(counts[1], counts[0], 'UART, with a host on USB');
  t.same(counts[2], counts[0], 'UART, with nothing on USB');

  const session = sessionOn(pico.uart);
  await session.hello({ signal });
  const painted = async (meanwhile?: () => Promise<void>) => {
    const run = session.run({ slot: 'ram', paint: 0xa5, limitMs: 60_000, timeoutMs: 60_000, signal });
    await meanwhile?.();
    const { ticks, stackPeakBytes } = await run;
    return { ticks, stackPeakBytes };
  };
  const quiet = await painted();
  const found = pico.found.length;
  const busy = await painted(async () => {
    while ((await session.ping({ signal })).running === null);
    await pico.host.reset();
  });
  t.equal(pico.found.length, found + 1);
  t.same(busy, quiet, 'a host that finds the port anew in the middle of a run costs it nothing');
});

/** The first device that a driver finds. */
async function deviceOf(driver: Driver): Promise<Device> {
  for await (const sighting of driver.discover({ signal })) {
    if (sighting.obstacle) throw new Error(sighting.obstacle);
    return driver.open(sighting, { signal });
  }
  throw new Error('nothing was found');
}

const usbPort = {
  path: '/dev/ttyACM0',
  vendorId: '2E8A',
  productId: '000A',
  serialNumber: 'E6614C311B4C8F2D',
  manufacturer: 'hilda',
};

t.test(
  'the serial driver finds it by its USB ids and measures; two ports of one board are one device',
  async (t) => {
    const pico = plugIn(t);
    await pico.ready(1);
    const adapter = { path: '/dev/ttyUSB0', vendorId: '0403', productId: '6001', serialNumber: 'A1' };
    const driver = new SerialDriver({
      listPorts: async () => [usbPort, adapter],
      openPort: async ({ path }) => (path === usbPort.path ? pico.usb : pico.uart),
      patience: 10,
    });
    const seen = [];
    for await (const sighting of driver.discover({ signal })) seen.push(sighting);
    t.equal(seen.length, 1, 'the port of the adapter leads to the same board');
    const device = await deviceOf(driver);
    t.teardown(() => device.close());
    const emulated = await deviceOf(new EmulatedDriver({ boards: ['rp2040-pico'] }));
    t.teardown(() => emulated.close());
    const network = doublingNetwork();
    const cycles = async (on: Device) =>
      (await on.profile?.(network, { signal }))?.map(({ count }) => count?.value);
    const overUart = await cycles(emulated);
    t.ok(overUart?.every((count) => Number(count) > 0));
    t.same(await cycles(device), overUart);
  },
);

t.test('200 KB of random bytes each way, with packets that end where they must', async (t) => {
  const pico = plugIn(t);
  await pico.ready(1);
  const session = sessionOn(pico.usb);
  await session.hello({ signal });
  const rng = Xoshiro128.fromSeed(11);
  const random = (count: number): Uint8Array =>
    Uint8Array.from({ length: count }, () => Math.floor(rng.next() * 256));
  pico.host.packets.length = 0;
  let total = 0;
  // Sizes of every remainder, so that some replies fill their last packet.
  for (let i = 0; total < 200 * 1024; i++) {
    const bytes = random(1032 - (i % 80));
    total += bytes.length;
    if (Buffer.compare(await session.echo(bytes, { signal }), bytes) !== 0) t.fail(`echo ${i} differs`);
  }
  const { packets } = pico.host;
  t.ok(packets.every((length) => length <= 64));
  t.ok(packets.includes(0), 'an empty packet ends a transfer of full ones');
  t.equal(packets.filter((length, i) => length === 0 && packets[i - 1] !== 64).length, 0);
  t.equal(packets.at(-1)! < 64, true);
  t.equal(session.droppedFrames, 0);
  t.equal((await session.ping({ signal })).running, null);
});

t.test(
  'a host that sends without waiting is held back; one that reads nothing holds nothing up',
  async (t) => {
    const pico = plugIn(t);
    await pico.ready(1);
    const session = sessionOn(pico.usb);
    await session.hello({ signal });
    // 60 KB at once: the controller refuses packets (NAK) until the firmware has taken the former ones.
    const all = await Promise.all(
      Array.from({ length: 60 }, async (_, i) => {
        const bytes = new Uint8Array(1000).fill(i);
        return Buffer.compare(await session.echo(bytes, { signal }), bytes) === 0;
      }),
    );
    t.same(new Set(all), new Set([true]));
    t.equal(session.droppedFrames, 0);

    await session.upload('ram', longProgram(), { signal });
    const opened = nonces - 1;
    const run = session.run({ slot: 'ram', limitMs: 0, timeoutMs: 600_000, signal }).catch((error) => error);
    while ((await session.ping({ signal })).running === null);
    // Frames by hand: a session sends each of them again, since the board is busy with the run.
    const refused = pico.refusals(1000);
    const flood = Array.from({ length: 60 }, (_, i) => 1000 + i);
    const payload = new Uint8Array(1000);
    for (const request of flood)
      pico.host.write(encodeFrame({ kind: kinds.echo, request, session: opened, payload }));
    await soon(() => refused.length >= flood.length);
    t.same(refused, flood, 'each is refused while a run lasts, and none gets lost');
    await session.hello({ signal });
    t.ok((await run) instanceof Error, 'a hello ends the run');

    pico.host.reading = false;
    const enough = new AbortController();
    const lost = session.echo(payload, { signal: enough.signal }).catch((error) => error);
    const other = sessionOn(pico.uart);
    await other.hello({ signal });
    t.same(await other.echo(Uint8Array.of(1, 2, 3), { signal }), Uint8Array.of(1, 2, 3), 'the UART answers');
    enough.abort();
    t.ok((await lost) instanceof Error);
    pico.host.reading = true;
    pico.host.resume();
    const again = sessionOn(pico.usb);
    await again.hello({ signal });
    t.same(await again.echo(Uint8Array.of(4), { signal }), Uint8Array.of(4), 'and USB again');
  },
);

t.test('each line is answered on itself; the session goes on where the last hello came', async (t) => {
  const pico = plugIn(t);
  await pico.ready(1);
  const [usb, uart] = [sessionOn(pico.usb), sessionOn(pico.uart)];
  await uart.hello({ signal });
  await usb.hello({ signal });
  await t.rejects(uart.echo(Uint8Array.of(1), { signal }), {
    code: 'DEVICE_FAILED',
    details: { refusal: 'session' },
  });
  t.same(await usb.echo(Uint8Array.of(2), { signal }), Uint8Array.of(2));
  await usb.upload('ram', longProgram(), { signal });
  const run = usb.run({ slot: 'ram', limitMs: 0, timeoutMs: 60_000, signal }).catch((error) => error);
  await new Promise((resolve) => setTimeout(resolve, 200));
  t.equal((await usb.ping({ signal })).running, 0);
  await uart.hello({ signal });
  t.equal((await run).code, 'INTERRUPTED', 'the end of the run is told where it was asked for');
  t.same(await uart.echo(Uint8Array.of(3), { signal }), Uint8Array.of(3));
});

t.test('a reset of the bus in the middle of a transfer', async (t) => {
  const pico = plugIn(t);
  await pico.ready(1);
  const session = sessionOn(pico.usb);
  await session.hello({ signal });
  for (const after of [1, 5, 9]) {
    const packets = pico.host.packets.length;
    const echo = session.echo(new Uint8Array(1000).fill(after), { signal }).catch((error) => error);
    await soon(() => pico.host.packets.length >= packets + after);
    await pico.host.reset();
    t.match(await session.hello({ signal }), { board: 'rp2040-pico' });
    await echo;
    const bytes = new Uint8Array(500).fill(7);
    t.same(await session.echo(bytes, { signal }), bytes);
  }
  t.equal(pico.found.length, 4);
  t.same(pico.found[3], pico.found[0]);
  const enough = new AbortController();
  const reset = session.reset({ signal: enough.signal }).catch(() => {});
  await pico.ready(5);
  enough.abort();
  await reset;
  const anew = sessionOn(pico.usb);
  t.match(await anew.hello({ signal }), { resetReason: 'asked' }, 'a restart leaves the bus and comes back');
  t.equal(pico.gone(), 1);
});

t.test(
  'the boot loader: by request on both lines, by the touch at 1200 baud, and by nothing less',
  async (t) => {
    const entered = { light: 0, without: 0 };
    for (const line of ['usb', 'uart'] as const) {
      const pico = plugIn(t);
      await pico.ready(1);
      const session = sessionOn(pico[line]);
      await session.hello({ signal });
      await session.enterLoader({ signal });
      t.same(pico.machine.loader, entered, line);
      t.equal(pico.gone(), 1);
      t.ok(pico.machine.idle);
      t.notOk(pico.machine.copyToLoader(new Uint8Array(1024)), 'no image');
      pico.machine.cutPower();
      await pico.ready(2);
    }
    const pico = plugIn(t);
    await pico.ready(1);
    const session = sessionOn(pico.usb);
    await session.hello({ signal });
    const lines = (dtr: boolean) => pico.host.control(lineRequest.setLines({ dtr }));
    await lines(false);
    await lines(true);
    await pico.host.control(lineRequest.setCoding(1200));
    await lines(true);
    t.same(
      await session.echo(Uint8Array.of(9), { signal }),
      Uint8Array.of(9),
      'a rate alone changes nothing',
    );
    await pico.host.control(lineRequest.setCoding(115_200));
    await lines(false);
    await pico.host.control(lineRequest.setCoding(1200));
    t.equal(pico.machine.loader, null, 'nor a line that was down before');
    await lines(true);
    await session.upload('ram', longProgram(), { signal });
    const run = session.run({ slot: 'ram', limitMs: 0, timeoutMs: 60_000, signal }).catch((error) => error);
    await new Promise((resolve) => setTimeout(resolve, 200));
    t.equal(await lines(false).then((answer) => answer.length), 0, 'the host hears that it was served');
    await soon(() => pico.machine.loader !== null);
    t.same(pico.machine.loader, entered, 'in the middle of a run');
    t.match(await run, { code: 'DEVICE_FAILED', details: { lost: true } });
  },
);

t.test(
  'flashing a board that runs: asked, its drive awaited, the file copied, the port found again',
  async (t) => {
    for (const by of ['request', 'touch'] as const) {
      const pico = plugIn(t);
      await pico.ready(1);
      const folder = await mkdtemp(join(tmpdir(), 'hilda-loader-'));
      const said: string[] = [];
      const access = {
        listPorts: async () => (pico.host.ready ? [usbPort] : []),
        openPort: async () => pico.usb,
        patience: 5,
      };
      const tools = {
        ...systemTools,
        volume: (label: string) => (label === 'RPI-RP2' && pico.machine.loader ? folder : null),
        running: async () =>
          by === 'touch' && said.length === 0 ? { boards: [], held: [] } : findRunning(profile, access),
        enterLoader: async (_: unknown, path: string) => {
          said.push(`asked ${path}`);
          return enterLoader(profile, path, access);
        },
        touch: async () => {
          said.push('touched');
          await pico.host.control(lineRequest.setCoding(1200));
          await pico.host.control(lineRequest.setLines({ dtr: false }));
          return true;
        },
        write: async (_: string, bytes: Uint8Array) => {
          said.push(pico.machine.copyToLoader(bytes) ? 'took the file' : 'refused the file');
        },
        wait: async () => new Promise<void>((resolve) => setTimeout(resolve, 20)),
      };
      const flashed = await flashBoard(profile, firmware, tools);
      t.same(said, [by === 'touch' ? 'touched' : 'asked /dev/ttyACM0', 'took the file']);
      t.match(flashed, { at: '/dev/ttyACM0', bytes: (await readFile(firmware.path)).length });
      const session = sessionOn(pico.usb);
      t.match(await session.hello({ signal }), { buildHash: firmware.buildHash, resetReason: 'power' });
      await session.deploy(fillProgram(3), { signal });
    }
    const two = {
      ...systemTools,
      volume: () => null,
      running: async () => ({
        boards: ['/dev/ttyACM0', '/dev/ttyACM1'].map((path) => ({ path, buildHash: '' })),
        held: [],
      }),
      enterLoader: async () => t.fail('one of two was chosen'),
      wait: async () => {},
    };
    await t.rejects(flashBoard(profile, firmware, two), { code: 'STATE_CONFLICT', hint: /ttyACM1/ });
    const held = {
      ...two,
      running: async () => ({ boards: [], held: ['/dev/ttyACM0'] }),
      touch: async () => false,
    };
    await t.rejects(flashBoard(profile, firmware, held), {
      code: 'FLASH_TOOL_MISSING',
      hint: /holds it: \/dev\/ttyACM0/,
    });
  },
);

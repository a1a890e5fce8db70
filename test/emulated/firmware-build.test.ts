import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';
import { findFirmware, loadBoardProfiles } from '../../daemon/devices/mcu/board-profile.js';
import { flashBoard } from '../../daemon/devices/mcu/flash-board.js';
import { type FlashTools, systemTools } from '../../daemon/devices/mcu/flash-tools.js';
import { toUf2 } from '../../daemon/devices/mcu/uf2.js';
import { findQemu } from '../../firmware-bridge/emulator/qemu-board.js';
import { startEmulated } from '../../firmware-bridge/emulator/start-emulated.js';
import { BoardSession } from '../../firmware-bridge/link/index.js';
import { mixedConvolutions } from '../compiler/networks.js';
import { answersAsReference } from './open-board.js';

t.setTimeout(900_000);
const run = promisify(execFile);
const { signal } = new AbortController();
const root = resolve(fileURLToPath(new URL('../../..', import.meta.url)));
const compiler = await run('arm-none-eabi-gcc', ['--version']).then(
  ({ stdout }) => stdout.split('\n')[0] ?? '',
  () => null,
);

const rebuilt = [...loadBoardProfiles().keys()];

const shipped = rebuilt.map((board) => findFirmware(board)?.compiler);
const skip =
  compiler === null && !process.env.CI
    ? 'arm-none-eabi-gcc is not installed'
    : compiler !== null && shipped.some((used) => used !== compiler)
      ? `the images were built by ${shipped[0]}, here is ${compiler}`
      : false;

t.test('the shipped images are what the sources give', { skip }, async (t) => {
  const out = await mkdtemp(join(tmpdir(), 'hilda-firmware-'));
  await run('bash', [join(root, 'scripts/build-firmware.sh'), '--out', out, ...rebuilt], {
    timeout: 600_000,
  });
  for (const board of rebuilt) {
    const ours = await readFile(findFirmware(board)?.path ?? '');
    t.ok(ours.equals(await readFile(join(out, `${board}.bin`))), board);
  }
});

t.test('a new board is one folder and one profile: built and run, no TypeScript', { skip }, async (t) => {
  const tree = await mkdtemp(join(tmpdir(), 'hilda-new-board-'));
  for (const part of ['firmware-bridge/firmware', 'scripts/build-firmware.sh'])
    await cp(join(root, part), join(tree, part), { recursive: true });
  // A board that is nobody's, with a core that no file of the daemon names.
  const [like, board] = ['mps2-an505', 'acme-m35p'];
  const boards = join(tree, 'firmware-bridge/firmware/boards');
  await mkdir(join(boards, board));
  for (const name of await readdir(join(boards, like))) {
    const text = await readFile(join(boards, like, name), 'utf8');
    const ours = text.replaceAll(like, board).replaceAll('cortex-m33', 'cortex-m35p');
    await writeFile(join(boards, board, name), ours);
  }
  const profiles = join(tree, 'profiles/boards');
  await mkdir(profiles, { recursive: true });
  const shipped = JSON.parse(await readFile(join(root, `profiles/boards/${like}.json`), 'utf8'));
  const written = { ...shipped, board, label: 'Acme', core: 'cortex-m35p' };
  await writeFile(join(profiles, `${board}.json`), JSON.stringify(written));
  await run('bash', [join(tree, 'scripts/build-firmware.sh'), board], { timeout: 600_000 });

  const profile = loadBoardProfiles(profiles).get(board);
  const image = findFirmware(board, join(tree, 'profiles/firmware'));
  if (!profile?.emulator || !image) throw new Error('the board was not built');
  if (findQemu() === null && !process.env.CI) return;
  const transport = await startEmulated(profile.emulator, image, signal);
  let nonces = 1;
  const session = new BoardSession({ transport, nonce: () => nonces++, patience: 20 });
  t.teardown(() => session.close());
  const hello = await session.hello({ signal });
  t.match(hello, { board, buildHash: image.buildHash });
  await answersAsReference(t, session, profile, { name: board, network: mixedConvolutions(1) });
});

t.test('every board has a profile and an image, and each image its size', async (t) => {
  for (const board of loadBoardProfiles().keys()) {
    const image = findFirmware(board);
    if (!image) {
      t.fail(`no image of ${board}`);
      continue;
    }
    t.equal((await readFile(image.path)).length, image.bytes, board);
  }
});

t.test('flashing: by copy, by tool, or by saying how', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'hilda-volume-'));
  const calls: string[] = [];
  const tools = (
    installed: readonly string[],
    volumes: readonly string[],
    others: Partial<FlashTools> = {},
  ): FlashTools => ({
    ...systemTools,
    which: (program) => (installed.includes(program) ? `/usr/bin/${program}` : null),
    volume: (label) => (volumes.includes(label) ? folder : null),
    run: async (program, args) => {
      calls.push([program, ...args].join(' '));
    },
    touch: async () => false,
    running: async () => ({ boards: [], held: [] }),
    wait: async () => {},
    ...others,
  });
  const of = (board: string) => {
    const profile = loadBoardProfiles().get(board);
    const image = findFirmware(board);
    if (!profile || !image) throw new Error(board);
    return [profile, image] as const;
  };
  await flashBoard(...of('rp2040-pico'), tools([], ['RPI-RP2']));
  const [, image] = of('rp2040-pico');
  const bytes = await readFile(image.path);
  const uf2 = await readFile(join(folder, 'hilda.uf2'));
  t.same(uf2, Buffer.from(toUf2(bytes, 0x10000000, 0xe48bff56)));
  t.equal(uf2.length, Math.ceil(bytes.length / 256) * 512);
  t.equal(uf2.readUInt32LE(512 + 12), 0x10000100, 'the second block lies behind the first');
  await t.rejects(flashBoard(...of('rp2040-pico'), tools([], [])), {
    code: 'FLASH_TOOL_MISSING',
    hint: /BOOTSEL/,
  });
  await flashBoard(...of('stm32f746g-disco'), tools(['st-flash'], []));
  t.match(calls[0], /^st-flash --reset write .*stm32f746g-disco\.bin 0x8000000$/);
  await flashBoard(...of('nrf52840-dk'), tools(['openocd', 'probe-rs'], []));
  t.match(
    calls[1],
    /^openocd -f interface\/jlink\.cfg -c transport select swd -f target\/nrf52\.cfg .*verify reset exit$/,
    'the adapter would choose JTAG, which the chip does not have',
  );
  await flashBoard(...of('nrf52840-dk'), tools(['probe-rs'], []));
  t.match(calls.slice(2), [
    /^probe-rs download --chip nRF52840_xxAA /,
    'probe-rs reset --chip nRF52840_xxAA',
  ]);
  const error = await flashBoard(...of('nucleo-l4r5zi'), tools([], [])).catch((thrown) => thrown);
  t.equal(error.code, 'FLASH_TOOL_MISSING');
  t.match(error.hint, /openocd .*st-flash .*probe-rs download .* && probe-rs reset .*NOD_L4R5ZI/);
  await t.rejects(flashBoard(...of('mps2-an386'), tools([], [])), { code: 'STATE_CONFLICT' });

  const fails = (code: string, syscall: string) => async (): Promise<void> => {
    throw Object.assign(new Error(`${code}: ${syscall}`), { code, syscall });
  };
  let mounted = true;
  const leaves = tools([], [], {
    volume: () => (mounted ? folder : null),
    write: () => {
      mounted = false;
      return fails('EIO', 'fsync')();
    },
  });
  t.ok(await flashBoard(...of('rp2040-pico'), leaves), 'the board restarted with the last block');
  for (const [code, syscall] of [
    ['EIO', 'fsync'],
    ['ENOSPC', 'write'],
  ] as const)
    await t.rejects(
      flashBoard(...of('rp2040-pico'), tools([], ['RPI-RP2'], { write: fails(code, syscall) })),
      { code: 'DEVICE_FAILED' },
      `${code} of ${syscall} while the volume stays`,
    );
});

t.test('a running firmware is asked to enter its boot loader', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'hilda-volume-'));
  const shipped = loadBoardProfiles().get('rp2040-pico');
  const image = findFirmware('rp2040-pico');
  if (shipped?.flash?.method !== 'uf2' || !image) throw new Error('no UF2 board');
  const touch = { vendorId: '2e8a', productId: '000a', baud: 1200 };
  const profile = { ...shipped, flash: { ...shipped.flash, touch, byRequest: false } };
  let waits = 0;
  let touched: unknown;
  const tools = (appearsAfter: number): FlashTools => ({
    ...systemTools,
    volume: () => (touched && waits >= appearsAfter ? folder : null),
    running: async () => ({ boards: [], held: [] }),
    touch: async (port) => {
      touched = port;
      return true;
    },
    wait: async () => void waits++,
  });
  t.equal((await flashBoard(profile, image, tools(3))).by, `copied to ${folder}`);
  t.same(touched, touch);
  t.equal(waits, 3);
  await t.rejects(flashBoard(profile, image, tools(1e6)), { code: 'FLASH_TOOL_MISSING' });
  t.ok(waits > 10 && waits < 1000, `gives up after ${waits} looks`);
});

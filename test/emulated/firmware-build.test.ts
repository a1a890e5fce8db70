import { execFile } from 'node:child_process';
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';
import { findFirmware, loadBoardProfiles } from '../../daemon/devices/mcu/board-profile.js';
import { type FlashTools, flashBoard } from '../../daemon/devices/mcu/flash-board.js';
import { toUf2 } from '../../daemon/devices/mcu/uf2.js';

t.setTimeout(900_000);
const run = promisify(execFile);
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
  const tools = (installed: readonly string[], volumes: readonly string[]): FlashTools => ({
    which: (program) => (installed.includes(program) ? `/usr/bin/${program}` : null),
    volume: (label) => (volumes.includes(label) ? folder : null),
    run: async (program, args) => {
      calls.push([program, ...args].join(' '));
    },
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
  t.same(uf2, Buffer.from(toUf2(bytes, 0x10000000)));
  t.equal(uf2.length, Math.ceil(bytes.length / 256) * 512);
  t.equal(uf2.readUInt32LE(512 + 12), 0x10000100, 'the second block lies behind the first');
  await t.rejects(flashBoard(...of('rp2040-pico'), tools([], [])), {
    code: 'FLASH_TOOL_MISSING',
    hint: /BOOTSEL/,
  });
  await flashBoard(...of('stm32f746g-disco'), tools(['st-flash'], []));
  t.match(calls[0], /^st-flash --reset write .*stm32f746g-disco\.bin 0x8000000$/);
  await flashBoard(...of('nrf52840-dk'), tools(['openocd', 'probe-rs'], []));
  t.match(calls[1], /^openocd -f .*verify reset exit$/);
  const error = await flashBoard(...of('nucleo-l4r5zi'), tools([], [])).catch((thrown) => thrown);
  t.equal(error.code, 'FLASH_TOOL_MISSING');
  t.match(error.hint, /openocd .*st-flash .*probe-rs .*NOD_L4R5ZI/);
  await t.rejects(flashBoard(...of('mps2-an386'), tools([], [])), { code: 'STATE_CONFLICT' });
});

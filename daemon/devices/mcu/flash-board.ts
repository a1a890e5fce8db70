import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HildaError } from '../../core/errors.js';
import type { BoardProfile, FirmwareImage } from './board-profile.js';
import { type FlashTools, systemTools } from './flash-tools.js';
import type { RunningBoards } from './running-boards.js';
import { toUf2 } from './uf2.js';

export interface Flashed {
  readonly by: string;
  readonly bytes: number;
  /** The port at which the new firmware answered; null where it was not seen yet. */
  readonly at: string | null;
}

type Uf2 = Extract<NonNullable<BoardProfile['flash']>, { method: 'uf2' }>;
type Probe = Extract<NonNullable<BoardProfile['flash']>, { method: 'probe' }>;

/** How long a boot loader takes to appear as a volume. */
const volumeWaitMs = 10_000;
const volumeLookMs = 250;
/** And how long the new firmware may take until its port is there. */
const answerWaitMs = 15_000;
const answerLookMs = 500;

/** Throws REQUEST_INVALID for a board whose boot loader takes no UF2 files. */
export function uf2Of(
  { label, flash }: BoardProfile,
  { loadAddress }: FirmwareImage,
  bytes: Uint8Array,
): Uint8Array {
  if (flash?.method === 'uf2') return toUf2(bytes, loadAddress, Number.parseInt(flash.family, 16));
  throw new HildaError('REQUEST_INVALID', `${label} takes no UF2 file`, {
    hint: 'Name a file that ends in .bin.',
  });
}

/**
 * Writes a board's firmware. Throws FLASH_TOOL_MISSING with every way that would do, when none is installed, and
 * DEVICE_FAILED with the tool's own words when it fails.
 */
export async function flashBoard(
  profile: BoardProfile,
  image: FirmwareImage,
  tools: FlashTools = systemTools,
): Promise<Flashed> {
  const { label, flash, board } = profile;
  if (!flash)
    throw new HildaError('STATE_CONFLICT', `${label} is emulated: there is nothing to flash`, {
      hint: `Its device is emulated-${board}.`,
    });
  const bytes = await readFile(image.path);
  if (flash.method === 'probe') return flashByProbe(label, flash, image, bytes, tools);
  const before = flash.byRequest ? await tools.running(profile) : none;
  const { folder, left } = await bootVolume(profile, flash, before, tools);
  if (!folder) {
    const held =
      before.held.length > 0 ? ` Not asked, since another program holds it: ${before.held.join(', ')}.` : '';
    throw new HildaError('FLASH_TOOL_MISSING', `no volume ${flash.volume} is mounted`, {
      hint: `${flash.enter}${held} A volume ${flash.volume} appears; mount it and run this again. By hand: \`hilda devices flash ${board} --out FILE.uf2\`, then copy the file there.`,
    });
  }
  await copyTo(label, join(folder, 'hilda.uf2'), uf2Of(profile, image, bytes), flash.volume, tools);
  const others = before.boards.map(({ path }) => path).filter((path) => path !== left);
  const at = flash.byRequest ? await answersAt(profile, image, others, tools) : null;
  return { by: `copied to ${folder}`, bytes: bytes.length, at };
}

const none: RunningBoards = { boards: [], held: [] };

/** The boot loader's volume, and the port of the firmware that was made to enter it. */
async function bootVolume(
  profile: BoardProfile,
  { volume, touch }: Uf2,
  { boards }: RunningBoards,
  tools: FlashTools,
): Promise<{ readonly folder: string | null; readonly left?: string }> {
  const mounted = tools.volume(volume);
  if (mounted) return { folder: mounted };
  if (boards.length > 1)
    throw new HildaError(
      'STATE_CONFLICT',
      `there are ${boards.length} boards of this kind: ${profile.label}`,
      {
        hint: `They are at ${boards.map(({ path }) => path).join(', ')}: unplug all but the one that is meant.`,
      },
    );
  const left = boards[0]?.path;
  const asked = left !== undefined && (await tools.enterLoader(profile, left));
  if (!asked && !(touch && (await tools.touch(touch)))) return { folder: null };
  for (let waited = 0; waited < volumeWaitMs; waited += volumeLookMs) {
    await tools.wait(volumeLookMs);
    const folder = tools.volume(volume);
    if (folder) return { folder, ...(left !== undefined && { left }) };
  }
  return { folder: null };
}

/** The port at which the firmware that was written answers; boards that ran before do not count. */
async function answersAt(
  profile: BoardProfile,
  { buildHash }: FirmwareImage,
  others: readonly string[],
  tools: FlashTools,
): Promise<string | null> {
  for (let waited = 0; waited < answerWaitMs; waited += answerLookMs) {
    await tools.wait(answerLookMs);
    const { boards } = await tools.running(profile);
    const found = boards.find((board) => board.buildHash === buildHash && !others.includes(board.path));
    if (found) return found.path;
  }
  return null;
}

/** A board restarts as soon as it has the last block: its volume may be gone before the system could confirm the write. */
async function copyTo(
  label: string,
  path: string,
  bytes: Uint8Array,
  volume: string,
  tools: FlashTools,
): Promise<void> {
  try {
    await tools.write(path, bytes);
  } catch (cause) {
    const { code, syscall } = cause as NodeJS.ErrnoException;
    const taken = syscall === 'fsync' && ['EIO', 'ENODEV', 'ENXIO', 'ENOENT'].includes(code ?? '');
    if (taken && tools.volume(volume) === null) return;
    throw new HildaError('DEVICE_FAILED', `${label} did not take the file: ${said(cause)}`, {
      cause,
      hint: 'Unplug the board, enter its boot loader again and repeat.',
    });
  }
}

async function flashByProbe(
  label: string,
  flash: Probe,
  image: FirmwareImage,
  bytes: Uint8Array,
  tools: FlashTools,
): Promise<Flashed> {
  const ways = waysOf(flash, image);
  for (const [program, calls] of ways) {
    if (!tools.which(program)) continue;
    try {
      for (const args of calls) await tools.run(program, args);
    } catch (cause) {
      throw new HildaError('DEVICE_FAILED', `${program} could not write ${label}: ${said(cause)}`, { cause });
    }
    return { by: program, bytes: bytes.length, at: null };
  }
  const folder = flash.copyTo ? tools.volume(flash.copyTo) : null;
  if (folder && flash.copyTo) {
    await copyTo(label, join(folder, 'hilda.bin'), bytes, flash.copyTo, tools);
    return { by: `copied to ${folder}`, bytes: bytes.length, at: null };
  }
  const names = ways.map(([program]) => program).join(', ');
  const commands = ways.map(([program, calls]) =>
    calls.map((args) => `${program} ${args.map(quoted).join(' ')}`).join(' && '),
  );
  throw new HildaError('FLASH_TOOL_MISSING', `none of ${names} is installed to write ${label}`, {
    hint: `Install one and run this again, or write it by hand: ${commands.join('  |  ')}${flash.copyTo ? `  |  copy ${image.path} to the volume ${flash.copyTo}` : ''}`,
    details: { commands },
  });
}

type Way = readonly [program: string, calls: readonly (readonly string[])[]];

/** Programs that can write the board, in the order of preference, each with its calls. */
function waysOf(flash: Probe, { path, loadAddress }: FirmwareImage): readonly Way[] {
  const { openocd, openocdTransport, stFlash, probeRsChip } = flash;
  const address = `0x${loadAddress.toString(16)}`;
  // The transport is chosen between the adapter's file, which comes first, and the target's.
  const [adapter = '', ...targets] = openocd;
  const transport = openocdTransport ? ['-c', `transport select ${openocdTransport}`] : [];
  const files = ['-f', adapter, ...transport, ...targets.flatMap((file) => ['-f', file])];
  const chip = ['--chip', probeRsChip];
  const download = ['download', ...chip, '--binary-format', 'bin', '--base-address', address, path];
  return [
    ['openocd', [[...files, '-c', `program {${path}} ${address} verify reset exit`]]],
    ...(stFlash ? [['st-flash', [['--reset', 'write', path, address]]] as const] : []),
    // Downloading leaves the core halted or in the former firmware.
    ['probe-rs', [download, ['reset', ...chip]]],
  ];
}

const quoted = (text: string): string => (/[ {}]/.test(text) ? `"${text}"` : text);

const said = (cause: unknown): string => {
  const { stderr, message } = cause as { stderr?: string; message: string };
  return (stderr || message).trim().split('\n').slice(-3).join(' ');
};

import { execFile } from 'node:child_process';
import { accessSync, constants, readdirSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { HildaError } from '../../core/errors.js';
import type { BoardProfile, FirmwareImage } from './board-profile.js';
import { toUf2 } from './uf2.js';

/** What flashing needs of the machine; tests bring their own. */
export interface FlashTools {
  /** The path of a program, or null when it is not installed. */
  which(program: string): string | null;
  /** The folder of a mounted volume with this label, or null. */
  volume(label: string): string | null;
  run(program: string, args: readonly string[]): Promise<void>;
}

export interface Flashed {
  readonly by: string;
  readonly bytes: number;
}

/**
 * Writes a board's firmware. Throws FLASH_TOOL_MISSING with every way that would do, when none is at hand, and
 * DEVICE_FAILED with the tool's own words when it fails.
 */
export async function flashBoard(
  { label, flash, board }: BoardProfile,
  image: FirmwareImage,
  tools: FlashTools = systemTools,
): Promise<Flashed> {
  if (!flash)
    throw new HildaError('STATE_CONFLICT', `${label} is emulated: there is nothing to flash`, {
      hint: `Its device is emulated-${board}.`,
    });
  const bytes = await readFile(image.path);
  if (flash.method === 'uf2') {
    const folder = tools.volume(flash.volume);
    if (!folder) {
      throw new HildaError('FLASH_TOOL_MISSING', `no volume ${flash.volume} is mounted`, {
        hint: `${flash.enter} A volume ${flash.volume} appears; mount it and run this again. By hand: \`hilda devices flash ${board} --out FILE.uf2\`, then copy the file there.`,
      });
    }
    await writeFile(join(folder, 'hilda.uf2'), toUf2(bytes, image.loadAddress));
    return { by: `copied to ${folder}`, bytes: bytes.length };
  }
  const address = `0x${image.loadAddress.toString(16)}`;
  const openocdArgs = [
    ...flash.openocd.flatMap((file) => ['-f', file]),
    '-c',
    `program {${image.path}} ${address} verify reset exit`,
  ];
  const ways: readonly (readonly [program: string, args: readonly string[]])[] = [
    ['openocd', openocdArgs],
    ...(flash.stFlash ? [['st-flash', ['--reset', 'write', image.path, address]] as const] : []),
    [
      'probe-rs',
      [
        'download',
        '--chip',
        flash.probeRsChip,
        '--binary-format',
        'bin',
        '--base-address',
        address,
        image.path,
      ],
    ],
  ];
  for (const [program, args] of ways) {
    if (!tools.which(program)) continue;
    try {
      await tools.run(program, args);
    } catch (cause) {
      throw new HildaError('DEVICE_FAILED', `${program} could not write ${label}: ${said(cause)}`, { cause });
    }
    return { by: program, bytes: bytes.length };
  }
  const folder = flash.copyTo ? tools.volume(flash.copyTo) : null;
  if (folder) {
    await writeFile(join(folder, 'hilda.bin'), bytes);
    return { by: `copied to ${folder}`, bytes: bytes.length };
  }
  const names = ways.map(([program]) => program).join(', ');
  const commands = ways.map(([program, args]) => `${program} ${args.map(quoted).join(' ')}`);
  throw new HildaError('FLASH_TOOL_MISSING', `none of ${names} is installed to write ${label}`, {
    hint: `Install one and run this again, or write it by hand: ${commands.join('  |  ')}${flash.copyTo ? `  |  copy ${image.path} to the volume ${flash.copyTo}` : ''}`,
    details: { commands },
  });
}

const quoted = (text: string): string => (/[ {}]/.test(text) ? `"${text}"` : text);

const said = (cause: unknown): string => {
  const { stderr, message } = cause as { stderr?: string; message: string };
  return (stderr || message).trim().split('\n').slice(-3).join(' ');
};

const runFile = promisify(execFile);

export const systemTools: FlashTools = {
  which: (program) => {
    for (const folder of (process.env.PATH ?? '').split(delimiter)) {
      const path = join(folder, program);
      try {
        accessSync(path, constants.X_OK);
        return path;
      } catch {}
    }
    return null;
  },
  volume: (label) => {
    const list = (folder: string): string[] => {
      try {
        return readdirSync(folder).map((name) => join(folder, name));
      } catch {
        return [];
      }
    };
    // Desktops mount under the user's name; macOS under /Volumes.
    const roots = ['/media', '/run/media', '/mnt', '/Volumes'];
    const mounted = roots.flatMap((root) => [...list(root), ...list(root).flatMap(list)]);
    return mounted.find((path) => path.endsWith(`/${label}`)) ?? null;
  },
  run: async (program, args) => {
    await runFile(program, [...args], { timeout: 120_000 });
  },
};

import { execFile } from 'node:child_process';
import { accessSync, constants, readdirSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { listSerialPorts, openSerial } from '../../../firmware-bridge/link/index.js';
import { systemClock } from '../../core/clock.js';
import type { BoardProfile } from './board-profile.js';
import { isId, type PortFacts } from './port-identity.js';
import { enterLoader, findRunning, type RunningBoards } from './running-boards.js';

export interface TouchedPort {
  readonly vendorId: string;
  readonly productId: string;
  readonly baud: number;
  readonly manufacturer?: string | undefined;
}

/** What flashing needs of the machine; tests bring their own. */
export interface FlashTools {
  /** The path of a program, or null when it is not installed. */
  which(program: string): string | null;
  /** The folder of a mounted volume with this label, or null. */
  volume(label: string): string | null;
  run(program: string, args: readonly string[]): Promise<void>;
  /** Writes a whole file and returns once the medium has it, not only the system's cache. */
  write(path: string, bytes: Uint8Array): Promise<void>;
  /** Opens and closes a port at a rate that makes its board enter the boot loader; false when no such port is there. */
  touch(port: TouchedPort): Promise<boolean>;
  /** Boards of a kind that answer with hilda's firmware. */
  running(profile: BoardProfile): Promise<RunningBoards>;
  /** Asks the board at a port to enter its boot loader; false where its firmware has no way to. */
  enterLoader(profile: BoardProfile, path: string): Promise<boolean>;
  wait(ms: number): Promise<void>;
}

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
  write: async (path, bytes) => {
    const file = await open(path, 'w');
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close().catch(() => {});
    }
  },
  touch: (port) => touchPort(port, listSerialPorts),
  running: (profile) => findRunning(profile, {}),
  enterLoader: (profile, path) => enterLoader(profile, path, {}),
  wait: (ms) => systemClock.sleep(ms),
};

/** The rate alone is a request to change; DTR that drops afterwards carries it out. */
async function touchPort(
  { vendorId, productId, baud, manufacturer }: TouchedPort,
  listPorts: () => Promise<readonly PortFacts[]>,
): Promise<boolean> {
  const found = (await listPorts()).find(
    (port) =>
      isId(port.vendorId, vendorId) &&
      isId(port.productId, productId) &&
      (manufacturer === undefined || port.manufacturer === manufacturer),
  );
  if (!found) return false;
  const lines = { dtr: true, rts: true, resetBy: 'dtr', resetMs: 100 } as const;
  const line = await openSerial({ path: found.path, baud, lines });
  try {
    await line.restart?.();
  } finally {
    await line.close().catch(() => {});
  }
  return true;
}

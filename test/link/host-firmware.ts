import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Transport } from '../../firmware-bridge/link/index.js';

const run = promisify(execFile);
const root = resolve(fileURLToPath(new URL('../../..', import.meta.url)));
export const firmwareDir = join(root, 'firmware-bridge/firmware');

/** Compiles C of the firmware for this machine, with the sanitizers that stop at the first wrong access. */
export async function compileForHost(sources: readonly string[], name: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hilda-host-'));
  const program = join(folder, name);
  const flags = ['-std=gnu11', '-O1', '-g', '-DHILDA_HOST', '-Iinclude', '-fno-strict-aliasing'];
  const sanitizers = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
  await run('gcc', [...flags, ...sanitizers, ...sources, '-o', program], { cwd: firmwareDir });
  return program;
}

/** The whole firmware as a process; its path. */
export async function compileHostBoard(): Promise<string> {
  const folders = ['main', 'link', 'runtime', 'operators'];
  const sources: string[] = ['boards/host/board.c'];
  for (const folder of folders) {
    const files = await readdir(join(firmwareDir, folder));
    sources.push(...files.filter((file) => file.endsWith('.c')).map((file) => join(folder, file)));
  }
  return compileForHost(sources, 'board');
}

export interface HostBoardOptions {
  /** Holds the flash over restarts of the process. */
  readonly flashPath?: string;
  /** The write of flash in whose middle the power fails. */
  readonly cutAt?: number;
  /** How long an erase of a unit lasts. */
  readonly eraseMs?: number;
  /** How many times as fast the counter of ticks runs. */
  readonly tickScale?: number;
}

/** A process's standard streams as a line to a board. `ended` resolves with its exit code. */
export function startHostBoard(
  program: string,
  { flashPath, cutAt, eraseMs, tickScale }: HostBoardOptions = {},
): Transport & { readonly ended: Promise<number | null>; errors(): string } {
  const child = spawn(program, flashPath ? [flashPath] : [], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: {
      ...process.env,
      ...(cutAt !== undefined && { HILDA_CUT: String(cutAt) }),
      ...(eraseMs !== undefined && { HILDA_ERASE_MS: String(eraseMs) }),
      ...(tickScale !== undefined && { HILDA_TICK_SCALE: String(tickScale) }),
    },
  });
  let closed = false;
  let errors = '';
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  child.stdin.on('error', () => {});
  const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  return {
    name: 'host board',
    ended,
    errors: () => errors,
    write: (bytes) =>
      new Promise((resolve, reject) => {
        child.stdin.write(bytes, (error) => (error ? reject(error) : resolve()));
      }),
    onBytes: (listener) => {
      child.stdout.removeAllListeners('data');
      child.stdout.on('data', listener);
    },
    onClose: (listener) => {
      child.once('exit', (code) => {
        if (!closed) listener(`the process ended with ${code}`);
      });
    },
    close: async () => {
      closed = true;
      child.stdin.end();
      child.kill('SIGKILL');
      await ended;
    },
  };
}

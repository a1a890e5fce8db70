import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Test } from 'tap';
import { systemClock } from '../../daemon/core/clock.js';
import { AdbServer } from '../../daemon/devices/adb/adb-server.js';

const run = promisify(execFile);

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/**
 * The installed adb with a server of its own: another port, another home (and so another key), nothing advertised. It
 * is stopped with the test. Throws where adb is missing: nothing is skipped.
 */
export async function openAdb(t: Test) {
  const home = await mkdtemp(join(tmpdir(), 'hilda-adb-'));
  const port = await freePort();
  const env = {
    PATH: process.env.PATH ?? '',
    HOME: home,
    TMPDIR: home,
    ANDROID_ADB_SERVER_PORT: String(port),
    ADB_MDNS: '0',
    ADB_VENDOR_KEYS: '',
  };
  const adb = async (...args: string[]): Promise<string> => {
    try {
      return (await run('adb', args, { env, timeout: 60_000 })).stdout.trim();
    } catch (thrown) {
      const { code, stdout = '', message } = thrown as { code?: unknown; stdout?: string; message: string };
      if (code === 'ENOENT')
        throw new Error(
          'adb is missing. Install it (Debian: apt-get install adb) or run: npm run setup -- --tests',
        );
      return `${stdout}${message}`.trim();
    }
  };
  await adb('start-server');
  t.teardown(async () => {
    await adb('kill-server');
    await rm(home, { recursive: true, force: true, maxRetries: 3 });
  });
  return { adb, port, server: new AdbServer({ port, clock: systemClock }) };
}

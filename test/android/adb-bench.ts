import { execFile } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Test } from 'tap';
import { systemClock } from '../../daemon/core/clock.js';
import { AdbServer } from '../../daemon/devices/adb/adb-server.js';

const run = promisify(execFile);

/**
 * A port for a server of another process. It lies below those that systems hand out by themselves (RFC 6056, section
 * 2.1; Linux: from 32768), so that nobody's outgoing connection takes it before that server does.
 */
export async function freePort(): Promise<number> {
  for (let i = 0; i < 100; i++) {
    const port = randomInt(20_000, 32_000);
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!free) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
  throw new Error('no free port');
}

/**
 * The installed adb with a server of its own: another port, another home (and so another key), nothing advertised. It
 * is stopped with the test. With `start` false it is left to the test to start it, in the same `env`. Throws where adb is
 * missing: nothing is skipped.
 */
export async function openAdb(t: Test, { start = true } = {}) {
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
  await adb(start ? 'start-server' : 'version');
  t.teardown(async () => {
    await adb('kill-server');
    await rm(home, { recursive: true, force: true, maxRetries: 3 });
  });
  return { adb, env, port, server: new AdbServer({ port, clock: systemClock }) };
}

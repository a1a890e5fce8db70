import { execFile } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { withCallSignal } from '../../core/call-signal.js';
import type { Clock } from '../../core/clock.js';
import { HildaError } from '../../core/errors.js';
import { dialledSocket } from '../../faults/edges/socket.js';
import { obstacleOf } from './obstacles.js';
import { SocketReader } from './socket-reader.js';
import { syncPush } from './sync.js';

export interface AdbServerOptions {
  readonly clock: Clock;
  /** 5037, or ANDROID_ADB_SERVER_PORT, by default. */
  readonly port?: number;
  /** Start the installed adb's server where none answers; false by default, since it outlives the daemon. */
  readonly start?: boolean;
  /** The adb program; `adb` by default. */
  readonly program?: string;
}

export interface AdbDevice {
  /** adb's own name for the way to the device; changes with the cable or the network. */
  readonly serial: string;
  /** `device` when it can be used; `unauthorized`, `offline`, ... */
  readonly state: string;
}

export interface ShellResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

interface CallOptions {
  readonly signal: AbortSignal;
  /** 20 s by default. */
  readonly timeoutMs?: number;
}

const serialPattern = /^[\w.:-]{1,100}$/;
const shellPackets = { stdout: 1, stderr: 2, exit: 3 } as const;
const maxShellBytes = 8 * 2 ** 20;

/**
 * A client of the adb server (its protocol: SERVICES.TXT and OVERVIEW.TXT of the Android source): requests and answers
 * are four hexadecimal digits of length and text. Every method throws ADB_FAILED, or DEVICE_GONE where the server says that
 * it has no such device.
 */
export class AdbServer {
  readonly #options: AdbServerOptions;

  constructor(options: AdbServerOptions) {
    this.#options = options;
  }

  /** Whether a server answers; starts one where that was asked for. */
  async available(options: CallOptions): Promise<boolean> {
    try {
      await this.#ask('host:version', options);
      return true;
    } catch {
      options.signal.throwIfAborted();
      if (!this.#options.start) return false;
      await this.#startServer(options);
      return true;
    }
  }

  async devices(options: CallOptions): Promise<AdbDevice[]> {
    return parseDevices(await this.#ask('host:devices', options));
  }

  /** Calls back with every list of devices that the server pushes, until the signal aborts or the server ends. */
  async track(signal: AbortSignal, onList: (devices: AdbDevice[]) => void): Promise<void> {
    const { socket, reader } = await this.#open('host:track-devices', signal);
    try {
      for (;;) onList(parseDevices((await readText(reader)).toString('utf8')));
    } finally {
      socket.destroy();
    }
  }

  /** Runs a command line of the phone's shell (shell protocol, version 2, so that the exit code is known). */
  shell(serial: string, command: string, options: CallOptions): Promise<ShellResult> {
    return this.#onDevice(serial, `shell,v2,raw:${command}`, options, async (reader) => {
      const parts: Record<number, Buffer[]> = { 1: [], 2: [] };
      for (let total = 0; ; ) {
        const header = await reader.read(5);
        const [kind, length] = [header[0] as number, header.readUInt32LE(1)];
        total += length;
        if (total > maxShellBytes) throw new HildaError('ADB_FAILED', 'the phone printed too much');
        const body = await reader.read(length);
        if (kind === shellPackets.exit) {
          const text = (of: number): string => Buffer.concat(parts[of] ?? []).toString('utf8');
          return {
            stdout: text(shellPackets.stdout),
            stderr: text(shellPackets.stderr),
            exitCode: body[0] ?? 255,
          };
        }
        parts[kind]?.push(Buffer.from(body));
      }
    });
  }

  /** Lets programs on the phone reach a port of this machine under a port of their own. */
  async reverse(serial: string, phonePort: number, hostPort: number, options: CallOptions): Promise<void> {
    await this.#onDevice(serial, `reverse:forward:tcp:${phonePort};tcp:${hostPort}`, options, readStatus);
  }

  async removeReverse(serial: string, phonePort: number, options: CallOptions): Promise<void> {
    await this.#onDevice(serial, `reverse:killforward:tcp:${phonePort}`, options, readStatus);
  }

  /** Writes a file on the phone. */
  async push(
    serial: string,
    path: string,
    bytes: Uint8Array,
    mode: number,
    options: CallOptions,
  ): Promise<void> {
    await this.#onDevice(serial, 'sync:', options, (reader, socket) =>
      syncPush(reader, socket, { path, bytes, mode, timeMs: this.#options.clock.nowMs() }),
    );
  }

  async #onDevice<T>(
    serial: string,
    service: string,
    options: CallOptions,
    use: (reader: SocketReader, socket: Socket) => Promise<T>,
  ): Promise<T> {
    if (!serialPattern.test(serial)) throw new HildaError('ADB_FAILED', `${serial} is no serial number`);
    return this.#bounded(service, options, async (signal) => {
      const { socket, reader } = await this.#open(`host:transport:${serial}`, signal);
      try {
        request(socket, service);
        await readStatus(reader);
        return await use(reader, socket);
      } catch (thrown) {
        throw await this.#explained(serial, thrown, options);
      } finally {
        socket.destroy();
      }
    });
  }

  /** A connection that broke says little; whether the phone is still there and trusts this computer, the server's list says. */
  async #explained(serial: string, thrown: unknown, options: CallOptions): Promise<unknown> {
    if (!(thrown instanceof HildaError) || thrown.code !== 'ADB_FAILED' || options.signal.aborted)
      return thrown;
    const known = await this.devices({ ...options, timeoutMs: 5000 }).catch(() => null);
    if (known === null) return thrown;
    const state = known.find((device) => device.serial === serial)?.state ?? null;
    if (state === 'device') return thrown;
    return new HildaError(
      'DEVICE_GONE',
      `the phone ${serial} ${state === null ? 'left' : `is ${state} now`}`,
      {
        cause: thrown,
        ...(state !== null && { hint: obstacleOf(state) }),
        details: { state },
      },
    );
  }

  #ask(service: string, options: CallOptions): Promise<string> {
    return this.#bounded(service, options, async (signal) => {
      const { socket, reader } = await this.#open(service, signal);
      try {
        return (await readText(reader)).toString('utf8');
      } finally {
        socket.destroy();
      }
    });
  }

  async #bounded<T>(
    what: string,
    { signal, timeoutMs = 20_000 }: CallOptions,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    signal.throwIfAborted();
    const late = new AbortController();
    const done = new AbortController();
    this.#options.clock.sleep(timeoutMs, { signal: done.signal }).then(
      () =>
        late.abort(new HildaError('ADB_FAILED', `"${what.slice(0, 80)}" took longer than ${timeoutMs} ms`)),
      () => {},
    );
    const both = AbortSignal.any([signal, late.signal]);
    try {
      return await work(both);
    } catch (thrown) {
      both.throwIfAborted();
      throw thrown;
    } finally {
      done.abort();
    }
  }

  /** A connection on which the server said OKAY to the service. Destroyed when the signal aborts. */
  async #open(service: string, signal: AbortSignal): Promise<{ socket: Socket; reader: SocketReader }> {
    const port = this.#options.port ?? Number(process.env.ANDROID_ADB_SERVER_PORT ?? 5037);
    const socket = dialledSocket(connect({ port, host: '127.0.0.1' }), 'adb');
    const abort = (): void => void socket.destroy();
    signal.addEventListener('abort', abort, { once: true });
    socket.once('close', () => signal.removeEventListener('abort', abort));
    const reader = new SocketReader(socket);
    try {
      request(socket, service);
      await readStatus(reader);
      return { socket, reader };
    } catch (thrown) {
      socket.destroy();
      throw thrown;
    }
  }

  async #startServer({ signal }: CallOptions): Promise<void> {
    const { program = 'adb', port } = this.#options;
    const args = [...(port === undefined ? [] : ['-P', String(port)]), 'start-server'];
    const start = (own: AbortSignal): Promise<void> =>
      new Promise((resolve, reject) => {
        execFile(program, args, { signal: own, timeout: 20_000 }, (cause) =>
          cause
            ? reject(new HildaError('ADB_FAILED', `adb does not start: ${cause.message}`, { cause }))
            : resolve(),
        );
      });
    await withCallSignal(signal, start);
  }
}

function request(socket: Socket, service: string): void {
  const bytes = Buffer.from(service, 'utf8');
  socket.write(Buffer.concat([Buffer.from(bytes.length.toString(16).padStart(4, '0')), bytes]));
}

async function readStatus(reader: SocketReader): Promise<void> {
  const status = (await reader.read(4)).toString('latin1');
  if (status === 'OKAY') return;
  if (status !== 'FAIL') throw new HildaError('ADB_FAILED', `the adb server answered "${status}"`);
  const words = (await readText(reader)).toString('utf8');
  if (/not found|offline|no devices|unauthorized|authorizing/.test(words))
    throw new HildaError('DEVICE_GONE', `adb: ${words.trim()}`, {
      ...(/authoriz/.test(words) && { hint: obstacleOf('unauthorized') }),
    });
  throw new HildaError('ADB_FAILED', `adb: ${words.trim()}`);
}

async function readText(reader: SocketReader): Promise<Buffer> {
  const digits = (await reader.read(4)).toString('latin1');
  if (!/^[0-9a-f]{4}$/i.test(digits)) throw new HildaError('ADB_FAILED', `"${digits}" is no length`);
  return reader.read(Number.parseInt(digits, 16));
}

const parseDevices = (text: string): AdbDevice[] =>
  text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([serial, state]) => serial && state)
    .map(([serial, state]) => ({ serial: serial as string, state: state as string }));

/** One argument of the phone's shell, with any content. */
export const quoted = (argument: string): string => `'${argument.replaceAll("'", "'\\''")}'`;

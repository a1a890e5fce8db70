import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { readdir, readFile, readlink, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { localTokenFor } from '../../../daemon/access/local-token.js';

const main = fileURLToPath(new URL('../../../daemon/cli/main.js', import.meta.url));

/** A real daemon, started as people start it. */
export class AttackedDaemon {
  readonly url: string;
  readonly dataDir: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | string>;
  #log = '';
  #longestMs = 0;
  #watcher: Worker | undefined;

  private constructor(child: ChildProcess, url: string, dataDir: string) {
    this.#child = child;
    this.url = url;
    this.dataDir = dataDir;
    this.#ended = new Promise((resolve) =>
      child.once('exit', (code, signal) => resolve(signal ?? code ?? -1)),
    );
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#log = (this.#log + text).slice(-20_000);
    });
  }

  static async start(dataDir: string, options: readonly string[] = []): Promise<AttackedDaemon> {
    const args = [main, 'up', '--port', '0', '--data', dataDir, '--json', ...options];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    let log = '';
    child.stderr.on('data', (text: Buffer) => {
      log = (log + text).slice(-2000);
    });
    for await (const line of createInterface({ input: child.stdout })) {
      const { url } = JSON.parse(line) as { url: string };
      return new AttackedDaemon(child, url, dataDir);
    }
    throw new Error(`the daemon did not start: ${log}`);
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  get log(): string {
    return this.#log;
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** As the local user asks, who may do all; `token` is somebody else's, null shows none. */
  async fetch(path: string, init: RequestInit = {}, token?: string | null): Promise<Response> {
    const shown = token === undefined ? await localTokenFor(this.url) : token;
    const headers = {
      ...(init.headers as Record<string, string>),
      ...(shown && { authorization: `Bearer ${shown}` }),
    };
    return fetch(`${this.url}/v1${path}`, { ...init, headers });
  }

  post(path: string, body: Uint8Array | object, headers: Record<string, string> = {}): Promise<Response> {
    const isBytes = body instanceof Uint8Array;
    return this.fetch(path, {
      method: 'POST',
      headers: { 'content-type': isBytes ? 'application/octet-stream' : 'application/json', ...headers },
      body: isBytes ? Buffer.from(body) : JSON.stringify(body),
    });
  }

  /** Asks for its health again and again; `longestMs` is the longest that it did not answer. */
  async watch(): Promise<void> {
    const token = await localTokenFor(this.url);
    this.#watcher = new Worker(new URL('./watcher.js', import.meta.url), {
      workerData: { url: this.url, token },
    });
    await new Promise<void>((resolve) =>
      this.#watcher?.on('message', (longestMs: number) => {
        this.#longestMs = longestMs;
        resolve();
      }),
    );
  }

  get longestMs(): number {
    return this.#longestMs;
  }

  /** High-water mark of its resident memory. */
  async peakBytes(): Promise<number> {
    const status = await readFile(`/proc/${this.pid}/status`, 'utf8').catch(() => '');
    return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
  }

  /** How many sockets it holds, those it listens on among them. */
  async sockets(): Promise<number> {
    const fds = `/proc/${this.pid}/fd`;
    const links = await Promise.all(
      (await readdir(fds)).map((fd) => readlink(join(fds, fd)).catch(() => '')),
    );
    return links.filter((link) => link.startsWith('socket:')).length;
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Its exit code, or the signal that ended it. */
  get ended(): Promise<number | string> {
    return this.#ended;
  }

  async stop(): Promise<void> {
    await this.#watcher?.terminate();
    this.#child.kill('SIGKILL');
    await this.#ended;
    await rm(this.dataDir, { recursive: true, force: true });
  }
}

/** A command of hilda that ends by itself, within a minute. */
export const exitOf = (args: readonly string[]): Promise<{ readonly code: number; readonly err: string }> =>
  new Promise((resolve) => {
    execFile(process.execPath, [main, ...args], { timeout: 60_000 }, (error, _, err) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, err }),
    );
  });

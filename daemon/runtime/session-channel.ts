import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Clock } from '../core/clock.js';
import { HildaError } from '../core/errors.js';
import { launchCommand, steadyHeap } from './launch.js';
import type { Answers, Reply, Request } from './messages.js';
import { programFailure } from './runtime-failure.js';

export interface ChannelOptions {
  /** Bound of the child's address space; null for none. */
  readonly memoryLimitBytes: number | null;
  /** Index of the CPU to pin the child to; null lets the scheduler choose. */
  readonly cpu: number | null;
  /** The child's whole environment, but for `steadyHeap`. */
  readonly environment: Readonly<Record<string, string>>;
  readonly clock: Clock;
  /** Hears, once, that the child takes no more calls. */
  readonly onEnd: () => void;
}

export interface CallLimits {
  readonly signal?: AbortSignal | undefined;
  /** Wall-clock limit of this call; the child is killed when it passes. */
  readonly timeoutMs?: number;
}

const defaultTimeoutMs = 60_000;
const childPath = fileURLToPath(new URL('./session-child.js', import.meta.url));

interface Pending {
  resolve(value: Answers[keyof Answers]): void;
  reject(error: HildaError): void;
}

/**
 * One child process and the messages to and fro: own process group, own working folder, cleared environment, bounded memory.
 * It lives once: a call that passes its limit or is aborted kills it, and every call under way fails with the reason.
 */
export class SessionChannel {
  readonly #options: ChannelOptions;
  readonly #process: ChildProcess;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #ended = false;
  #stderr = '';
  /** Resolves when the process is gone and its folder removed. */
  readonly exited: Promise<void>;

  private constructor(process: ChildProcess, scratch: string, options: ChannelOptions) {
    this.#process = process;
    this.#options = options;
    process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-4096);
    });
    process.on('message', (reply: Reply) => this.#settle(reply));
    process.on('error', (cause) =>
      this.end(new HildaError('DEVICE_FAILED', `the session process failed: ${cause.message}`, { cause })),
    );
    // `close` comes after stderr was read to its end, and also when spawning itself failed.
    this.exited = new Promise((resolve) => {
      process.on('close', (code, signal) => {
        this.end(crash(code, signal, this.#stderr));
        void rm(scratch, { recursive: true, force: true })
          .catch(() => {})
          .then(resolve);
      });
    });
  }

  static async open(options: ChannelOptions): Promise<SessionChannel> {
    const { environment, ...limits } = options;
    const scratch = await mkdtemp(join(tmpdir(), 'hilda-session-'));
    const [command, ...args] = launchCommand([process.execPath, childPath], limits);
    const spawned = spawn(command, args, {
      cwd: scratch,
      env: { ...steadyHeap, ...environment },
      detached: true,
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    return new SessionChannel(spawned, scratch, options);
  }

  /** Whether it takes no more calls. */
  get ended(): boolean {
    return this.#ended;
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Answered in the order of asking. Throws what the child answers, DEVICE_TIMEOUT, DEVICE_FAILED and INTERRUPTED. */
  async call<Op extends Request['op']>(
    request: Extract<Request, { op: Op }>,
    { signal, timeoutMs = defaultTimeoutMs }: CallLimits,
  ): Promise<Answers[Op]> {
    if (signal?.aborted) throw interrupted(signal);
    const id = this.#nextId++;
    const done = new AbortController();
    const onAbort = (): void => this.end(interrupted(signal));
    signal?.addEventListener('abort', onAbort, { once: true });
    const late = `"${request.op}" did not end within ${timeoutMs} ms; its process was killed`;
    this.#options.clock.sleep(timeoutMs, { signal: done.signal }).then(
      () => this.end(new HildaError('DEVICE_TIMEOUT', late)),
      () => {},
    );
    try {
      return (await new Promise<Answers[keyof Answers]>((resolve, reject) => {
        this.#pending.set(id, { resolve, reject });
        this.#process.send({ id, request }, (error) => {
          // The exit, reported by `close`, says more than a broken pipe; it may have been reported already.
          if (error && this.#ended)
            reject(crash(this.#process.exitCode, this.#process.signalCode, this.#stderr));
        });
      })) as Answers[Op];
    } finally {
      this.#pending.delete(id);
      done.abort();
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Fails what waits for the child and kills its whole group. May be called more than once. */
  end(error: HildaError): void {
    if (!this.#ended) this.#options.onEnd();
    this.#ended = true;
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
    const { pid, exitCode, signalCode } = this.#process;
    if (pid === undefined || exitCode !== null || signalCode !== null) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      this.#process.kill('SIGKILL');
    }
  }

  #settle(reply: Reply): void {
    const pending = this.#pending.get(reply.id);
    if (pending === undefined) return;
    if ('value' in reply) {
      pending.resolve(reply.value);
      return;
    }
    const { code, message, hint, details } = reply.error;
    pending.reject(new HildaError(code, message, { hint, details }));
  }
}

export const interrupted = (signal: AbortSignal | undefined): HildaError =>
  new HildaError('INTERRUPTED', 'the call to the session process was aborted', { cause: signal?.reason });

const crash = (code: number | null, signal: NodeJS.Signals | null, stderr: string): HildaError =>
  programFailure('the session process', { code, signal }, stderr);

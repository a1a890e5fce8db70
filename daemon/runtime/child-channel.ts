import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../core/clock.js';
import { HildaError } from '../core/errors.js';
import { askedChild, startedCommand } from '../faults/edges/child.js';
import { switchboard } from '../faults/present.js';
import { launchCommand, steadyHeap } from './launch.js';
import type { Reply } from './messages.js';
import { programFailure } from './runtime-failure.js';

/** What a child answers, by what it is asked. */
export interface Conversation {
  readonly request: { readonly op: string };
  readonly answers: object;
}

type Asked<C extends Conversation, Op> = Extract<C['request'], { readonly op: Op }>;
type Answered<C extends Conversation, Op> = Op extends keyof C['answers'] ? C['answers'][Op] : never;

export interface ChannelOptions {
  /** The child's entry, run by the daemon's own node. */
  readonly program: string;
  /** How errors name the child, e.g. `session`. */
  readonly name: string;
  /** Options of node, before the entry. */
  readonly nodeOptions?: readonly string[];
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

interface Pending {
  resolve(value: unknown): void;
  reject(error: HildaError): void;
}

/**
 * One child process and the messages to and fro: own process group, own working folder, cleared environment, bounded memory.
 * It lives once: a call that passes its limit or is aborted kills it, and every call under way fails with the reason.
 */
export class ChildChannel<C extends Conversation> {
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
      this.end(
        new HildaError('DEVICE_FAILED', `the ${options.name} process failed: ${cause.message}`, { cause }),
      ),
    );
    // `close` comes after stderr was read to its end, and also when spawning itself failed.
    this.exited = new Promise((resolve) => {
      process.on('close', (code, signal) => {
        this.end(this.#crash(code, signal));
        void rm(scratch, { recursive: true, force: true })
          .catch(() => {})
          .then(resolve);
      });
    });
  }

  static async open<C extends Conversation>(options: ChannelOptions): Promise<ChildChannel<C>> {
    const { environment, program, name, nodeOptions = [], ...limits } = options;
    const scratch = await mkdtemp(join(tmpdir(), `hilda-${name}-`));
    const line = launchCommand([process.execPath, ...nodeOptions, program], limits);
    const [command, ...args] = startedCommand(name, line);
    const spawned = spawn(command, args, {
      cwd: scratch,
      env: { ...steadyHeap, ...environment },
      detached: true,
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    return new ChildChannel<C>(spawned, scratch, options);
  }

  /** Whether it takes no more calls. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Whether a signal ended it that a program does not raise by its own fault: sent by a person, or by the system. */
  get wasKilled(): boolean {
    return this.#process.signalCode === 'SIGKILL' || this.#process.signalCode === 'SIGTERM';
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Answered in the order of asking. Throws what the child answers, DEVICE_TIMEOUT, DEVICE_FAILED and INTERRUPTED. */
  async call<Op extends C['request']['op']>(
    request: Asked<C, Op>,
    { signal, timeoutMs = defaultTimeoutMs }: CallLimits,
  ): Promise<Answered<C, Op>> {
    if (signal?.aborted) throw interrupted(signal, this.#options.name);
    const id = this.#nextId++;
    const done = new AbortController();
    const onAbort = (): void => this.end(interrupted(signal, this.#options.name));
    signal?.addEventListener('abort', onAbort, { once: true });
    const late = `"${request.op}" did not end within ${timeoutMs} ms; its process was killed`;
    this.#options.clock.sleep(timeoutMs, { signal: done.signal }).then(
      () => this.end(new HildaError('DEVICE_TIMEOUT', late)),
      () => {},
    );
    try {
      const dies = switchboard() !== null && (await askedChild(`${this.#options.name} ${request.op}`));
      return (await new Promise<unknown>((resolve, reject) => {
        this.#pending.set(id, { resolve, reject });
        if (dies) return this.#kill();
        this.#process.send({ id, request }, (error) => {
          // The exit, reported by `close`, says more than a broken pipe; it may have been reported already.
          if (error && this.#ended) reject(this.#crash(this.#process.exitCode, this.#process.signalCode));
        });
      })) as Answered<C, Op>;
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
    this.#kill();
  }

  #kill(): void {
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

  #crash(code: number | null, signal: NodeJS.Signals | null): HildaError {
    return programFailure(`the ${this.#options.name} process`, { code, signal }, this.#stderr);
  }
}

export const interrupted = (signal: AbortSignal | undefined, name: string): HildaError =>
  new HildaError('INTERRUPTED', `the call to the ${name} process was aborted`, { cause: signal?.reason });

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Clock, systemClock } from '../core/clock.js';
import { HildaError } from '../core/errors.js';
import { launchCommand } from './launch.js';
import {
  type Answers,
  defaultSessionOptions,
  type FirstRun,
  type Leg,
  type LoadedSession,
  type Reply,
  type Request,
  type RunOptions,
  type RuntimeDescription,
  type RuntimeTensors,
  type SessionOptions,
  type TimedLegs,
  type TraceRow,
} from './messages.js';

export interface SessionProcessOptions {
  /** Bound of the child's address space; null for none. */
  readonly memoryLimitBytes?: number | null;
  /** Index of the CPU to pin the child to; null (the default) lets the scheduler choose. */
  readonly cpu?: number | null;
  /** The child's whole environment; empty by default. Graphics drivers need e.g. VK_ICD_FILENAMES. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
}

export interface CallLimits {
  readonly signal?: AbortSignal | undefined;
  /** Wall-clock limit of this call; the child is killed when it passes. */
  readonly timeoutMs?: number;
}

const defaultMemoryLimitBytes = 8 * 2 ** 30;
const defaultTimeoutMs = 60_000;
const childPath = fileURLToPath(new URL('./session-child.js', import.meta.url));

interface Pending {
  resolve(value: Answers[keyof Answers]): void;
  reject(error: HildaError): void;
}

interface Child {
  readonly process: ChildProcess;
  readonly scratch: string;
  readonly pending: Map<number, Pending>;
  /** Handles are numbered by the child; those of an earlier child must not reach this one. */
  readonly handles: Map<number, number>;
  readonly exited: Promise<void>;
  stderr: string;
}

/**
 * onnxruntime sessions in a child process of their own: cleared environment, own process group, own working folder,
 * bounded memory, killed when a call passes its time limit or is aborted.
 *
 * The child starts with the first call and again with the first `load` after it died; handles of a dead child are
 * gone (NOT_FOUND). Calls are answered in order. Errors: NETWORK_REJECTED, DEVICE_OUT_OF_MEMORY, DEVICE_TIMEOUT,
 * DEVICE_FAILED, INTERRUPTED, PROVIDER_UNKNOWN, PROVIDER_FALLBACK, SHAPE_UNKNOWN, NOT_FOUND. After any of them the
 * object is usable; after DEVICE_TIMEOUT, DEVICE_FAILED and INTERRUPTED its sessions are lost.
 */
export class SessionProcess {
  readonly #options: SessionProcessOptions;
  readonly #clock: Clock;
  #child: Child | null = null;
  #starting: Promise<Child> | null = null;
  #nextId = 1;
  #nextHandle = 1;

  constructor(options: SessionProcessOptions = {}) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** Process id of the living child, for those who look at it from outside. */
  get pid(): number | undefined {
    return this.#child?.process.pid;
  }

  async load(
    model: Uint8Array,
    options: Partial<SessionOptions> = {},
    limits: CallLimits = {},
  ): Promise<LoadedSession> {
    const child = await this.#living(limits);
    const loaded = await this.#call(
      child,
      { op: 'load', model, options: { ...defaultSessionOptions, ...options } },
      limits,
    );
    const handle = this.#nextHandle++;
    child.handles.set(handle, loaded.handle);
    return { ...loaded, handle };
  }

  async run(
    handle: number,
    feeds: RuntimeTensors,
    options: RunOptions = {},
    limits: CallLimits = {},
  ): Promise<RuntimeTensors> {
    const child = await this.#living(limits);
    return this.#call(child, { op: 'run', handle: inChild(child, handle), feeds, options }, limits);
  }

  /** The tensors that `carry` left in the child, by input name: a checkpoint. */
  async carried(handle: number, limits: CallLimits = {}): Promise<RuntimeTensors> {
    const child = await this.#living(limits);
    return this.#call(child, { op: 'carried', handle: inChild(child, handle) }, limits);
  }

  /** Times the legs one after the other, without a message in between. */
  async time(legs: readonly Leg[], limits: CallLimits = {}): Promise<TimedLegs> {
    const child = await this.#living(limits);
    const inside = legs.map((leg) => ({ ...leg, handle: inChild(child, leg.handle) }));
    return this.#call(child, { op: 'time', legs: inside }, limits);
  }

  /** One run, timed, with the rise of resident memory: means something once for each fresh child. */
  async firstRun(handle: number, limits: CallLimits = {}): Promise<FirstRun> {
    const child = await this.#living(limits);
    return this.#call(child, { op: 'firstRun', handle: inChild(child, handle) }, limits);
  }

  /** Runs a session that was loaded with `profile: true` and ends its trace; once for each session. */
  async profile(handle: number, runs: number, limits: CallLimits = {}): Promise<readonly TraceRow[]> {
    const child = await this.#living(limits);
    return this.#call(child, { op: 'profile', handle: inChild(child, handle), runs }, limits);
  }

  async release(handle: number, limits: CallLimits = {}): Promise<void> {
    const child = await this.#living(limits);
    await this.#call(child, { op: 'release', handle: inChild(child, handle) }, limits);
    child.handles.delete(handle);
  }

  async describe(limits: CallLimits = {}): Promise<RuntimeDescription> {
    return this.#call(await this.#living(limits), { op: 'describe' }, limits);
  }

  /** Ends the child and waits until it is gone. The next call would start another. */
  async stop(): Promise<void> {
    const child = this.#child ?? (await this.#starting?.catch(() => null));
    if (!child) return;
    this.#end(child, new HildaError('INTERRUPTED', 'the session process was stopped'));
    await child.exited;
  }

  async #living({ signal }: CallLimits): Promise<Child> {
    if (signal?.aborted) throw interrupted(signal);
    if (this.#child !== null) return this.#child;
    this.#starting ??= this.#spawn().finally(() => {
      this.#starting = null;
    });
    return this.#starting;
  }

  async #spawn(): Promise<Child> {
    const { memoryLimitBytes = defaultMemoryLimitBytes, cpu = null, environment = {} } = this.#options;
    const scratch = await mkdtemp(join(tmpdir(), 'hilda-session-'));
    const [command, ...args] = launchCommand([process.execPath, childPath], { memoryLimitBytes, cpu });
    const spawned = spawn(command, args, {
      cwd: scratch,
      env: { ...environment },
      detached: true,
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    let gone: () => void = () => {};
    const exited = new Promise<void>((resolve) => {
      gone = resolve;
    });
    const child: Child = {
      process: spawned,
      scratch,
      pending: new Map(),
      handles: new Map(),
      exited,
      stderr: '',
    };
    spawned.stderr?.setEncoding('utf8').on('data', (text: string) => {
      child.stderr = (child.stderr + text).slice(-4096);
    });
    spawned.on('message', (reply: Reply) => settle(child, reply));
    spawned.on('error', (cause) =>
      this.#end(
        child,
        new HildaError('DEVICE_FAILED', `the session process failed: ${cause.message}`, { cause }),
      ),
    );
    // `close` comes after stderr was read to its end, and also when spawning itself failed.
    spawned.on('close', (code, signal) => {
      this.#end(child, crash(code, signal, child.stderr));
      void rm(scratch, { recursive: true, force: true })
        .catch(() => {})
        .then(gone);
    });
    this.#child = child;
    return child;
  }

  async #call<Op extends Request['op']>(
    child: Child,
    request: Extract<Request, { op: Op }>,
    limits: CallLimits,
  ): Promise<Answers[Op]> {
    const { signal, timeoutMs = defaultTimeoutMs } = limits;
    if (signal?.aborted) throw interrupted(signal);
    const id = this.#nextId++;
    const done = new AbortController();
    const onAbort = (): void => this.#end(child, interrupted(signal));
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#clock.sleep(timeoutMs, { signal: done.signal }).then(
      () =>
        this.#end(
          child,
          new HildaError(
            'DEVICE_TIMEOUT',
            `"${request.op}" did not end within ${timeoutMs} ms; its process was killed`,
          ),
        ),
      () => {},
    );
    try {
      return (await new Promise<Answers[keyof Answers]>((resolve, reject) => {
        child.pending.set(id, { resolve, reject });
        child.process.send({ id, request }, (error) => {
          // The exit, reported by `close`, says more than a broken pipe; it may have been reported already.
          if (error && this.#child !== child)
            reject(crash(child.process.exitCode, child.process.signalCode, child.stderr));
        });
      })) as Answers[Op];
    } finally {
      child.pending.delete(id);
      done.abort();
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Fails what waits for the child and kills its whole group. May be called more than once. */
  #end(child: Child, error: HildaError): void {
    if (this.#child === child) this.#child = null;
    for (const { reject } of child.pending.values()) reject(error);
    child.pending.clear();
    const { pid, exitCode, signalCode } = child.process;
    if (pid === undefined || exitCode !== null || signalCode !== null) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      child.process.kill('SIGKILL');
    }
  }
}

function inChild(child: Child, handle: number): number {
  const inside = child.handles.get(handle);
  if (inside === undefined)
    throw new HildaError('NOT_FOUND', `session ${handle} is gone: it was released, or its process ended`);
  return inside;
}

function settle(child: Child, reply: Reply): void {
  const pending = child.pending.get(reply.id);
  if (pending === undefined) return;
  if ('error' in reply) pending.reject(new HildaError(reply.error.code, reply.error.message));
  else pending.resolve(reply.value);
}

const interrupted = (signal: AbortSignal | undefined): HildaError =>
  new HildaError('INTERRUPTED', 'the call to the session process was aborted', { cause: signal?.reason });

function crash(code: number | null, signal: NodeJS.Signals | null, stderr: string): HildaError {
  const words = stderr.trim().split('\n').at(-1) ?? '';
  const how = signal === null ? `ended with code ${code}` : `was killed by ${signal}`;
  const outOfMemory = /out of memory|bad_alloc|heap limit|Cannot allocate/i.test(stderr);
  return new HildaError(
    outOfMemory ? 'DEVICE_OUT_OF_MEMORY' : 'DEVICE_FAILED',
    `the session process ${how}${words === '' ? '' : `: ${words}`}`,
  );
}

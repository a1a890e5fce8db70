import { fileURLToPath } from 'node:url';
import { type Clock, systemClock } from '../core/clock.js';
import { HildaError } from '../core/errors.js';
import { type CallLimits, ChildChannel, interrupted } from './child-channel.js';
import {
  defaultSessionOptions,
  type FirstRun,
  type InputFeed,
  type Leg,
  type LoadedSession,
  type RunOptions,
  type RuntimeDescription,
  type RuntimeTensors,
  type SessionConversation,
  type SessionOptions,
  type TimedLegs,
  type TraceRow,
} from './messages.js';

export interface SessionProcessOptions {
  /** Bound of the child's address space; null for none. */
  readonly memoryLimitBytes?: number | null;
  /** Index of the CPU to pin the child to; null (the default) lets the scheduler choose. */
  readonly cpu?: number | null;
  /** The child's whole environment, but for `steadyHeap`; empty by default. Graphics drivers need e.g. VK_ICD_FILENAMES. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
}

const defaultMemoryLimitBytes = 8 * 2 ** 30;
const name = 'session';
const childPath = fileURLToPath(new URL('./session-child.js', import.meta.url));

interface Child {
  readonly channel: ChildChannel<SessionConversation>;
  /** Handles are numbered by the child; those of an earlier child must not reach this one. */
  readonly handles: Map<number, number>;
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
  #child: Child | null = null;
  #starting: Promise<Child> | null = null;
  #nextHandle = 1;

  constructor(options: SessionProcessOptions = {}) {
    this.#options = options;
  }

  /** Process id of the living child, for those who look at it from outside. */
  get pid(): number | undefined {
    return this.#child?.channel.pid;
  }

  /** `feeds`: what timed runs are fed with; left out, the inputs as the model declares them, which must be closed. */
  async load(
    model: Uint8Array,
    {
      feeds = null,
      ...options
    }: Partial<SessionOptions> & { readonly feeds?: readonly InputFeed[] | null } = {},
    limits: CallLimits = {},
  ): Promise<LoadedSession> {
    const { channel, handles } = await this.#living(limits);
    const request = { op: 'load', model, feeds, options: { ...defaultSessionOptions, ...options } } as const;
    const loaded = await channel.call(request, limits);
    const handle = this.#nextHandle++;
    handles.set(handle, loaded.handle);
    return { ...loaded, handle };
  }

  async run(
    handle: number,
    feeds: RuntimeTensors,
    options: RunOptions = {},
    limits: CallLimits = {},
  ): Promise<RuntimeTensors> {
    const child = await this.#living(limits);
    return child.channel.call({ op: 'run', handle: inChild(child, handle), feeds, options }, limits);
  }

  /** The tensors that `carry` left in the child, by input name: a checkpoint. */
  async carried(handle: number, limits: CallLimits = {}): Promise<RuntimeTensors> {
    const child = await this.#living(limits);
    return child.channel.call({ op: 'carried', handle: inChild(child, handle) }, limits);
  }

  /** Times the legs one after the other, without a message in between. */
  async time(legs: readonly Leg[], limits: CallLimits = {}): Promise<TimedLegs> {
    const child = await this.#living(limits);
    const inside = legs.map((leg) => ({ ...leg, handle: inChild(child, leg.handle) }));
    return child.channel.call({ op: 'time', legs: inside }, limits);
  }

  /** One run, timed, with the rise of resident memory: means something once for each fresh child. */
  async firstRun(handle: number, limits: CallLimits = {}): Promise<FirstRun> {
    const child = await this.#living(limits);
    return child.channel.call({ op: 'firstRun', handle: inChild(child, handle) }, limits);
  }

  /** Runs a session that was loaded with `profile: true` and ends its trace; once for each session. */
  async profile(handle: number, runs: number, limits: CallLimits = {}): Promise<readonly TraceRow[]> {
    const child = await this.#living(limits);
    return child.channel.call({ op: 'profile', handle: inChild(child, handle), runs }, limits);
  }

  async release(handle: number, limits: CallLimits = {}): Promise<void> {
    const child = await this.#living(limits);
    await child.channel.call({ op: 'release', handle: inChild(child, handle) }, limits);
    child.handles.delete(handle);
  }

  async describe(limits: CallLimits = {}): Promise<RuntimeDescription> {
    return (await this.#living(limits)).channel.call({ op: 'describe' }, limits);
  }

  /** Ends the child and waits until it is gone. The next call would start another. */
  async stop(): Promise<void> {
    const child = this.#child ?? (await this.#starting?.catch(() => null));
    if (!child) return;
    child.channel.end(new HildaError('INTERRUPTED', 'the session process was stopped'));
    await child.channel.exited;
  }

  async #living({ signal }: CallLimits): Promise<Child> {
    if (signal?.aborted) throw interrupted(signal, name);
    if (this.#child !== null) return this.#child;
    this.#starting ??= this.#start().finally(() => {
      this.#starting = null;
    });
    return this.#starting;
  }

  async #start(): Promise<Child> {
    const { memoryLimitBytes = defaultMemoryLimitBytes, cpu = null, environment = {}, clock } = this.#options;
    const channel = await ChildChannel.open<SessionConversation>({
      program: childPath,
      name,
      memoryLimitBytes,
      cpu,
      environment,
      clock: clock ?? systemClock,
      onEnd: () => {
        if (this.#child?.channel === channel) this.#child = null;
      },
    });
    const child = { channel, handles: new Map() };
    // It may have died before it was known here: its first call says why.
    if (!channel.ended) this.#child = child;
    return child;
  }
}

function inChild({ handles }: Child, handle: number): number {
  const inside = handles.get(handle);
  if (inside === undefined)
    throw new HildaError('NOT_FOUND', `session ${handle} is gone: it was released, or its process ended`);
  return inside;
}

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../core/clock.js';
import { asHildaError, type ErrorCode, errorTable, HildaError } from '../core/errors.js';
import { agentProtocol, hubMessageSchema, type OfferedDevice } from '../devices/agent/wire.js';
import { checked } from '../devices/checked.js';
import type { Connection } from '../devices/connection.js';
import type { Driver } from '../devices/contract.js';
import { AgentBench } from './bench.js';
import { AgentLink } from './link.js';
import { ModelCache } from './model-cache.js';
import { Outbox } from './outbox.js';
import { AgentWork, readClock } from './work.js';

export interface AgentOptions {
  /** What people call this machine. */
  readonly name: string;
  /** Key, models and unsent results. Made when missing. */
  readonly dataDir: string;
  /** Needed the first time only, to be exchanged for a key. */
  readonly token?: string;
  readonly drivers: readonly Driver[];
  readonly clock: Clock;
  /** With the pairing that the agent was invited by, where it has one. Rejects when the daemon cannot be reached now. */
  readonly connect: (options: {
    readonly signal: AbortSignal;
    readonly visit?: string;
  }) => Promise<Connection>;
  /** Hash of this machine's boot id, where it has one: see `OwnMachine.boot`. */
  readonly boot?: string | null;
  /** Hears where the daemon says that it can be reached. */
  readonly onAddresses?: (urls: readonly string[]) => void;
  readonly onEvent?: (event: string, details: Readonly<Record<string, unknown>>) => void;
  /** Waits between tries to connect; jittered by half, so that a fleet does not come back in one moment. */
  readonly retryMs?: readonly number[];
}

/** The daemon's word is final on these: trying again would only knock at a closed door. */
const final: ReadonlySet<string> = new Set([
  'PAIRING_REFUSED',
  'KEY_REVOKED',
  'VERSION_UNSUPPORTED',
  'DAEMON_MISMATCH',
]);
const defaultRetryMs = [250, 500, 1000, 2000, 5000, 10_000];

/**
 * This machine's devices in the service of a daemon elsewhere. `run` keeps a link up until the signal aborts; it throws
 * PAIRING_REFUSED, KEY_REVOKED or VERSION_UNSUPPORTED as soon as the daemon says so, DAEMON_MISMATCH as `connect` does, and
 * nothing else.
 */
export class Agent {
  readonly #options: AgentOptions;

  constructor(options: AgentOptions) {
    this.#options = options;
  }

  async run(signal: AbortSignal): Promise<void> {
    const {
      dataDir,
      drivers,
      clock,
      connect,
      onEvent,
      onAddresses,
      retryMs = defaultRetryMs,
    } = this.#options;
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    const outbox = new Outbox(join(dataDir, 'outbox'));
    await outbox.start();
    const bench = new AgentBench(drivers, (error, message) =>
      onEvent?.('warning', { message, code: error.code }),
    );
    const work = new AgentWork({
      bench,
      outbox,
      models: new ModelCache(join(dataDir, 'models')),
      ...(onAddresses && { onAddresses }),
      ...(onEvent && { onEvent }),
    });
    const life = new AbortController();
    bench.watch(AbortSignal.any([signal, life.signal]), () => work.offer(bench.offered));
    try {
      for (let failures = 0; !signal.aborted; ) {
        /** How long the daemon said to wait, where it did. */
        let toldMs = 0;
        try {
          // Before it connects: a daemon waits seconds for the first word, a GPU's driver may take longer.
          const devices = await bench.look(signal);
          const visit = await this.#visit();
          const connection = await connect({ signal, ...(visit !== undefined && { visit }) });
          if (await this.#serve(connection, { work, bench, devices }, signal)) failures = 0;
        } catch (thrown) {
          const error = asHildaError(thrown);
          if (final.has(error.code)) throw error;
          if (error.code === 'ATTEMPTS_LIMITED') toldMs = 1000 * Number(error.details.retryAfterS ?? 1);
          if (!signal.aborted) onEvent?.('unreachable', { message: error.message });
        }
        if (signal.aborted) return;
        const ownMs = retryMs[Math.min(failures++, retryMs.length - 1)] ?? 1000;
        const pauseMs = Math.max(ownMs, toldMs);
        // Spread by the clock's own noise: a generator of chance would be one more thing to inject.
        const jitter = 0.75 + ((clock.monotonicUs() * 7919) % 1000) / 2000;
        await clock.sleep(pauseMs * jitter, { signal }).catch(() => {});
      }
    } finally {
      life.abort();
      work.stop();
      await bench.stop();
    }
  }

  /** Answers true when the daemon had welcomed us before the link ended. */
  async #serve(
    connection: Connection,
    {
      work,
      bench,
      devices,
    }: {
      readonly work: AgentWork;
      readonly bench: AgentBench;
      readonly devices: readonly OfferedDevice[];
    },
    signal: AbortSignal,
  ): Promise<boolean> {
    const { name, token, clock, boot, onEvent, onAddresses } = this.#options;
    const key = await this.#key();
    const link = new AgentLink(connection);
    const stop = (): void => connection.close(1001, 'the agent is stopping');
    signal.addEventListener('abort', stop, { once: true });
    try {
      link.say({
        op: 'hello',
        proto: agentProtocol,
        ...(key !== undefined && { key }),
        ...(key === undefined && token !== undefined && { token }),
        name,
        devices: [...devices],
        ...work.state(),
        clock: readClock(clock),
        ...(boot && { boot }),
      });
      const answer = checked(hubMessageSchema, await link.next());
      if (answer.op === 'refused')
        throw new HildaError(
          answer.code in errorTable ? (answer.code as ErrorCode) : 'INTERNAL',
          answer.detail,
          {
            hint: answer.hint,
          },
        );
      if (answer.op !== 'welcome')
        throw new HildaError('MESSAGE_INVALID', `the daemon greeted with ${answer.op}`);
      if (answer.key !== null) await this.#keepKey(answer.key, token);
      if (answer.addresses) onAddresses?.(answer.addresses);
      onEvent?.('joined', { id: answer.id, devices: devices.map(({ id }) => id) });
      if (bench.offered !== devices) link.say({ op: 'devices', devices: [...bench.offered] });
      await work.serve(link, answer, { clock, signal });
      const last = link.refused;
      if (last) throw last;
      return true;
    } finally {
      signal.removeEventListener('abort', stop);
      connection.close(1000, 'done');
    }
  }

  async #key(): Promise<string | undefined> {
    return this.#kept('key');
  }

  /** By it the daemon tells this agent from others of its address before it says a word. */
  async #visit(): Promise<string | undefined> {
    if ((await this.#key()) !== undefined) return this.#kept('visit');
    return pairingOf(this.#options.token);
  }

  async #kept(file: 'key' | 'visit'): Promise<string | undefined> {
    return (await readFile(join(this.#options.dataDir, file), 'utf8').catch(() => '')).trim() || undefined;
  }

  async #keepKey(key: string, token: string | undefined): Promise<void> {
    const { dataDir } = this.#options;
    await writeFile(join(dataDir, 'key'), `${key}\n`, { mode: 0o600 });
    const visit = pairingOf(token);
    if (visit !== undefined) await writeFile(join(dataDir, 'visit'), `${visit}\n`, { mode: 0o600 });
  }
}

const pairingOf = (token: string | undefined): string | undefined =>
  token?.includes('.') ? token.slice(0, token.indexOf('.')) : undefined;

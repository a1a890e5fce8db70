import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { BackOff } from '../core/back-off.js';
import type { Clock } from '../core/clock.js';
import { asHildaError, type ErrorCode, errorTable, HildaError } from '../core/errors.js';
import { LineRate } from '../core/link/line-rate.js';
import { agentProtocol, hubMessageSchema, type OfferedDevice } from '../devices/agent/wire.js';
import { processChance } from '../devices/chance.js';
import { checked } from '../devices/checked.js';
import type { Connection } from '../devices/connection.js';
import type { Driver } from '../devices/contract.js';
import { AgentFolder } from './agent-folder.js';
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
  /** Bounds of the waits between tries to connect (`BackOff`); 0.5 to 15 s by default. */
  readonly retry?: { readonly firstMs: number; readonly mostMs: number };
  /** Another agent with the same key that is connected gives way, once. */
  readonly takeOver?: boolean;
}

/** The daemon's word is final on these: trying again would only knock at a closed door. */
const final: ReadonlySet<string> = new Set([
  'PAIRING_REFUSED',
  'KEY_REVOKED',
  'VERSION_UNSUPPORTED',
  'DAEMON_MISMATCH',
  'DISPLACED',
  'PEER_STORAGE',
]);
const defaultRetry = { firstMs: 500, mostMs: 15_000 };

/**
 * This machine's devices in the service of a daemon elsewhere. `run` keeps a link up until the signal aborts. It throws
 * PAIRING_REFUSED, KEY_REVOKED, VERSION_UNSUPPORTED or DISPLACED as soon as the daemon says so, DAEMON_MISMATCH as
 * `connect` does, PEER_STORAGE where the folder takes no file to begin with, and nothing else.
 */
export class Agent {
  readonly #options: AgentOptions;
  readonly #folder: AgentFolder;
  readonly #instance = randomBytes(16).toString('hex');
  readonly #rate = new LineRate();
  #takeOver: boolean;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#folder = new AgentFolder(options.dataDir);
    this.#takeOver = options.takeOver ?? false;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { dataDir, drivers, clock, connect, onEvent, onAddresses, retry = defaultRetry } = this.#options;
    await this.#folder.prove();
    const outbox = new Outbox(join(dataDir, 'outbox'));
    await outbox.start();
    const bench = new AgentBench(drivers, (error, message) =>
      onEvent?.('warning', { message, code: error.code }),
    );
    const work = new AgentWork({
      bench,
      outbox,
      models: new ModelCache(join(dataDir, 'models')),
      clock,
      ...(onAddresses && { onAddresses }),
      ...(onEvent && { onEvent }),
    });
    const life = new AbortController();
    bench.watch(AbortSignal.any([signal, life.signal]), () => work.offer(bench.offered));
    try {
      const backOff = new BackOff({ ...retry, chance: processChance() });
      while (!signal.aborted) {
        /** How long the daemon said to wait, where it did. */
        let toldMs = 0;
        try {
          // Before it connects: a daemon waits seconds for the first word, a GPU's driver may take longer.
          const devices = await bench.look(signal);
          const visit = await this.#folder.visit(this.#options.token);
          const connection = await connect({ signal, ...(visit !== undefined && { visit }) });
          if (await this.#serve(connection, { work, bench, devices }, signal)) backOff.reset();
        } catch (thrown) {
          const error = asHildaError(thrown);
          if (final.has(error.code)) throw error;
          if (error.code === 'ATTEMPTS_LIMITED') toldMs = 1000 * Number(error.details.retryAfterS ?? 1);
          if (!signal.aborted) onEvent?.('unreachable', { message: error.message });
        }
        if (signal.aborted) return;
        await clock.sleep(Math.max(backOff.next(), toldMs), { signal }).catch(() => {});
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
    const key = await this.#folder.key();
    const link = new AgentLink(connection, { clock, rate: this.#rate });
    const stop = (): void => connection.close(1001, 'the agent is stopping');
    signal.addEventListener('abort', stop, { once: true });
    try {
      link.say({
        op: 'hello',
        proto: agentProtocol,
        ...(key !== undefined && { key }),
        ...(key === undefined && token !== undefined && { token }),
        instance: this.#instance,
        takeOver: this.#takeOver,
        name,
        devices: [...devices],
        ...work.state(),
        clock: readClock(clock),
        ...(boot && { boot }),
      });
      const answer = checked(hubMessageSchema, await link.next());
      if (answer.op === 'refused')
        throw new HildaError(
          Object.hasOwn(errorTable, answer.code) ? (answer.code as ErrorCode) : 'INTERNAL',
          answer.detail,
          {
            hint: answer.hint,
          },
        );
      if (answer.op !== 'welcome')
        throw new HildaError('MESSAGE_INVALID', `the daemon greeted with ${answer.op}`);
      this.#takeOver = false;
      if (answer.key !== null) await this.#folder.keep(answer.key, token);
      if (answer.addresses) onAddresses?.(answer.addresses);
      onEvent?.('joined', { id: answer.id, devices: devices.map(({ id }) => id) });
      if (bench.offered !== devices) link.say({ op: 'devices', devices: [...bench.offered] });
      await work.serve(link, answer, signal);
      const last = link.refused;
      if (last) throw last;
      return true;
    } finally {
      signal.removeEventListener('abort', stop);
      connection.close(1000, 'done');
    }
  }
}

import type { Clock } from '../../core/clock.js';
import { asHildaError, HildaError } from '../../core/errors.js';
import type { DeviceId } from '../../core/ids.js';
import { mostAwayMs } from '../../core/link/transfer-limits.js';
import { watchLine } from '../../core/link/watched-line.js';
import { checked } from '../checked.js';
import { type Connection, closeCodes, type LineState } from '../connection.js';
import { firstMessage } from '../first-message.js';
import { giveWay } from '../instances.js';
import type { Admit, JoinKeys } from '../join-keys.js';
import type { OwnMachine } from '../own-machine.js';
import type { SentWork } from '../work.js';
import type { Answer } from './jobs.js';
import { AgentLeases, type LeaseCounts, type PerformOptions } from './leases.js';
import { AgentPeers } from './peers.js';
import { AgentSession, refuse } from './session.js';
import {
  type AgentHello,
  agentHelloSchema,
  agentMessageSchema,
  agentProtocol,
  type OfferedDevice,
} from './wire.js';

export interface AgentHubOptions {
  readonly keys: JoinKeys;
  readonly clock: Clock;
  /** How long a job outlives its agent's last sign of life; `mostAwayMs` by default. */
  readonly leaseMs?: number;
  /** How often agents report; 5 s by default. */
  readonly heartbeatMs?: number;
  readonly helloMs?: number;
  /** By which agents on this machine are recognised. */
  readonly machine?: OwnMachine;
}

export interface Agent {
  readonly id: string;
  readonly name: string;
  readonly devices: readonly OfferedDevice[];
}

const lookMs = 5000;

/**
 * The agents that joined. A cut line changes nothing: the agent works on, and its result comes when the line is back. An
 * agent that is away for longer than a lease, or says that it leaves, is gone with its devices and jobs.
 */
export class AgentHub {
  /** Their clocks, their machines, and what they are told of this one. */
  readonly peers: AgentPeers;
  readonly #options: Required<Omit<AgentHubOptions, 'machine'>>;
  readonly #sessions = new Map<string, AgentSession>();
  readonly #leases: AgentLeases;
  readonly #listeners = new Set<() => void>();

  constructor(options: AgentHubOptions) {
    this.#options = { leaseMs: mostAwayMs, heartbeatMs: 5000, helloMs: 5000, ...options };
    const { clock, leaseMs, keys } = this.#options;
    this.peers = new AgentPeers(options);
    this.#leases = new AgentLeases({ clock, leaseMs, sessionOf: (id) => this.#sessions.get(id) });
    keys.onRevoked((id) => {
      const session = this.#sessions.get(id);
      if (!session) return;
      const error = new HildaError('KEY_REVOKED', `the key of ${id} was revoked`);
      session.refuse(error);
      this.#sessions.delete(id);
      this.#leases.failAll(id, new HildaError('DEVICE_GONE', error.message));
      this.#changed();
    });
  }

  get counts(): LeaseCounts {
    return this.#leases.counts;
  }

  /** Connected agents, and those whose line is cut for less than a lease. */
  agents(): readonly Agent[] {
    return [...this.#sessions.values()].filter(({ isHere }) => isHere);
  }

  /** Of the line to the agent that has a device, while it is here. */
  lineTo(device: DeviceId): LineState | undefined {
    const agent = this.agents().find(({ id }) => device.startsWith(`${id}-`));
    return agent && this.#sessions.get(agent.id)?.line;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Looks again whenever an agent's time runs out, until the signal aborts. */
  async watchLeases(signal: AbortSignal): Promise<void> {
    let before = '';
    for (;;) {
      await this.#options.clock.sleep(Math.min(this.#options.leaseMs / 4, lookMs), { signal });
      const now = this.agents()
        .map(({ id }) => id)
        .join();
      if (now !== before) this.#changed();
      before = now;
    }
  }

  /** Has an agent's device do some work; answers with what the agent says, unchecked. Throws as `Device` does. */
  perform(agentId: string, device: string, work: SentWork, options: PerformOptions): Promise<Answer> {
    return this.#leases.perform(agentId, device, work, options);
  }

  /**
   * Takes a connection in: its first message says who it is. Never throws; a refusal is told, ends it, and is
   * the answer.
   */
  async accept(connection: Connection, admit: Admit): Promise<HildaError | null> {
    try {
      await this.#welcome(connection, admit);
      return null;
    } catch (thrown) {
      const error = asHildaError(thrown);
      refuse(connection, error);
      return error;
    }
  }

  async #welcome(connection: Connection, admit: Admit): Promise<void> {
    const { keys, clock, helloMs, heartbeatMs } = this.#options;
    const first = await firstMessage(connection, clock, helloMs);
    const version = (first as { proto?: unknown } | null)?.proto;
    if (typeof version === 'number' && version !== agentProtocol)
      throw new HildaError(
        'VERSION_UNSUPPORTED',
        `the agent speaks version ${version}, the daemon ${agentProtocol}`,
      );
    const hello = checked(agentHelloSchema, first);
    const { token, key, name, running, finished, instance, takeOver } = hello;
    const { id, key: newKey } = await admit(() =>
      token === undefined ? keys.recognise('agent', key ?? '') : keys.redeem('agent', token, name, key),
    );
    await giveWay({
      clock,
      takeOver,
      what: `the agent ${id}`,
      present: () => this.#sessions.get(id),
      isSame: (session) => session.instance === instance,
      displace: (session, error) => {
        session.refuse(error, closeCodes.displaced);
        session.cut();
      },
    });
    const session = this.#open(id, connection, hello);
    const kept = this.#leases.keep(id, [...running, ...finished]);
    const addresses = [...this.peers.addresses];
    session.say({ op: 'welcome', proto: agentProtocol, id, key: newKey, heartbeatMs, keep: kept, addresses });
    this.peers.met(id, hello, connection);
    connection.onMessage((message) => this.#receive(session, message));
    watchLine(connection, { clock, beat: () => session.say({ op: 'beat' }) });
    this.#leases.giveOthers(session, kept);
    this.#changed();
  }

  /** A session in place of the agent's last one, whose line was cut, or goes on beside its end unheard. */
  #open(id: string, connection: Connection, hello: AgentHello): AgentSession {
    const { clock, leaseMs } = this.#options;
    const before = this.#sessions.get(id);
    const former = before?.connection;
    before?.cut();
    former?.drop();
    const session = new AgentSession({ id, hello, connection, clock, before, awayMs: leaseMs });
    this.#sessions.set(id, session);
    connection.onClose((code) => {
      if (session.connection === connection) this.#closed(session, code === closeCodes.goingAway);
    });
    return session;
  }

  #closed(session: AgentSession, leaves: boolean): void {
    const { id, name } = session;
    session.cut({ leaves });
    if (this.#sessions.get(id) !== session) return;
    if (leaves) this.#leases.failAll(id, new HildaError('DEVICE_GONE', `the agent ${name} was stopped`));
    this.#changed();
  }

  #receive(session: AgentSession, message: string | Uint8Array): void {
    // An end that was not heard of yet: what comes by the former line came too late.
    if (!session.connection) return;
    try {
      // Bytes that were not announced are refused there.
      if (typeof message !== 'string') {
        const { transfer, bytes } = session.received.piece(message);
        session.say({ op: 'got', transfer, bytes });
      } else this.#hear(session, message);
    } catch (thrown) {
      session.refuse(
        thrown instanceof HildaError
          ? thrown
          : new HildaError('MESSAGE_INVALID', 'the agent sent what is no message', { cause: thrown }),
      );
    }
  }

  #hear(session: AgentSession, text: string): void {
    const message = checked(agentMessageSchema, JSON.parse(text));
    switch (message.op) {
      case 'devices':
        session.devices = message.devices;
        this.#changed();
        return;
      case 'clock':
        this.peers.clockAnswered(session.id, message);
        return;
      case 'heartbeat':
        this.peers.askClock(session.id);
        this.#leases.heartbeat(session, message);
        return;
      case 'progress':
        this.#leases.progress(session, message);
        return;
      case 'blob':
        session.say({ op: 'got', ...session.received.announce(message) });
        return;
      case 'got':
        session.bulk.acknowledge(message);
        return;
      case 'refuse':
        session.bulk.refuse(message.transfer, new HildaError('NETWORK_TOO_LARGE', message.detail));
        return;
      case 'need':
        void this.#leases.send(session, message);
        return;
      case 'result':
      case 'failed':
        this.#leases.end(session, message);
    }
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

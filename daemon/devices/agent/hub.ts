import type { Clock } from '../../core/clock.js';
import { asHildaError, fromErrorDocument, HildaError } from '../../core/errors.js';
import type { DeviceId } from '../../core/ids.js';
import { BulkReceiver } from '../../core/link/bulk-receiver.js';
import { BulkSender } from '../../core/link/bulk-sender.js';
import { type LineFacts, LineRate } from '../../core/link/line-rate.js';
import { watchLine } from '../../core/link/watched-line.js';
import { checked } from '../checked.js';
import { type Connection, closeCodes } from '../connection.js';
import { contentHash } from '../content-hash.js';
import type { CallOptions } from '../contract.js';
import { firstMessage } from '../first-message.js';
import { giveWay } from '../instances.js';
import type { Admit, JoinKeys } from '../join-keys.js';
import type { OwnMachine } from '../own-machine.js';
import { unreached } from '../unreached.js';
import type { SentWork } from '../work.js';
import { failureOf } from './agent-failures.js';
import { type Answer, type Job, JobBook } from './jobs.js';
import { AgentPeers } from './peers.js';
import type { SentNetwork } from './sent-network.js';
import {
  type AgentHello,
  type AgentMessage,
  agentHelloSchema,
  agentMessageSchema,
  agentProtocol,
  type Hold,
  type HubMessage,
  type OfferedDevice,
  sameHold,
} from './wire.js';

export interface AgentHubOptions {
  readonly keys: JoinKeys;
  readonly clock: Clock;
  /** How long a job outlives its agent's last sign of life; 30 s by default. */
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

interface Session {
  readonly id: string;
  /** See `agentHelloSchema`. */
  readonly instance: string;
  name: string;
  devices: readonly OfferedDevice[];
  /** Null while the link is cut. */
  connection: Connection | null;
  /** Contents of results, on their way here; what came of one outlasts the link. */
  readonly received: BulkReceiver;
  readonly rate: LineRate;
  readonly bulk: BulkSender;
  /** Models of which at least the beginning was sent. */
  readonly begun: Set<string>;
  /** When its devices count as gone unless it is back. */
  goneMs: number;
}

export interface AgentCounts {
  /** Late or foreign results that were refused. */
  readonly refusedResults: number;
  /** Models of which at least the beginning was sent. */
  readonly transfers: number;
  readonly leases: number;
}

/** Of all results of one agent that are on their way. */
const maxOutputBytes = 256 * 2 ** 20;

/** How often a job is given anew to an agent that lost it. */
const mostEpochs = 5;

/**
 * The agents that joined, and the jobs given to them. A cut link changes nothing: the agent works on, and its result
 * comes when the link is back. A job whose agent gives no sign of life for the length of a lease is DEVICE_GONE for those that
 * waits for it, and its result, should it come, is refused and counted.
 */
export class AgentHub {
  /** Their clocks, their machines, and what they are told of this one. */
  readonly peers: AgentPeers;
  readonly #options: Required<Omit<AgentHubOptions, 'machine'>>;
  readonly #sessions = new Map<string, Session>();
  readonly #listeners = new Set<() => void>();
  readonly #jobs = new JobBook();
  #transfers = 0;
  #leases = 0;

  constructor(options: AgentHubOptions) {
    this.#options = { leaseMs: 30_000, heartbeatMs: 5000, helloMs: 5000, ...options };
    this.peers = new AgentPeers(options);
    options.keys.onRevoked((id) => {
      const session = this.#sessions.get(id);
      if (!session) return;
      const error = new HildaError('KEY_REVOKED', `the key of ${id} was revoked`);
      if (session.connection) refuse(session.connection, error);
      this.#sessions.delete(id);
      for (const job of this.#jobs.ofAgent(id)) this.#fail(job, new HildaError('DEVICE_GONE', error.message));
      this.#changed();
    });
  }

  get counts(): AgentCounts {
    return { refusedResults: this.#jobs.refused, transfers: this.#transfers, leases: this.#leases };
  }

  /** Connected agents, and those whose link is cut for less than a lease. */
  agents(): readonly Agent[] {
    const nowMs = this.#options.clock.nowMs();
    return [...this.#sessions.values()].filter(({ connection, goneMs }) => connection || goneMs > nowMs);
  }

  /** Of the line to the agent that has a device, while it is here. */
  lineTo(device: DeviceId): LineFacts | undefined {
    const agent = this.agents().find(({ id }) => device.startsWith(`${id}-`));
    return agent && this.#sessions.get(agent.id)?.rate.facts;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Looks again whenever an agent's time runs out, until the signal aborts. */
  async watchLeases(signal: AbortSignal): Promise<void> {
    let before = '';
    for (;;) {
      await this.#options.clock.sleep(this.#options.leaseMs / 4, { signal });
      const now = this.agents()
        .map(({ id }) => id)
        .join();
      if (now !== before) this.#changed();
      before = now;
    }
  }

  /** Has an agent's device do some work; answers with what the agent says, unchecked. Throws as `Device` does. */
  async perform(
    agentId: string,
    device: string,
    work: SentWork,
    {
      signal,
      onProgress,
      network = null,
      inputs = null,
    }: CallOptions & { readonly network?: SentNetwork | null; readonly inputs?: Uint8Array | null },
  ): Promise<Answer> {
    const { clock, leaseMs } = this.#options;
    if (signal.aborted) throw interrupted(signal);
    const ended = new AbortController();
    try {
      return await new Promise<Answer>((resolve, reject) => {
        const expiresMs = clock.nowMs() + leaseMs;
        const job = this.#jobs.open({
          agentId,
          device,
          work,
          network,
          inputs,
          onProgress,
          expiresMs,
          resolve,
          reject,
        });
        const session = this.#sessions.get(agentId);
        if (session) this.#lease(session, job);
        const cancel = (): void => {
          this.#jobs.close(job);
          this.#say(agentId, { op: 'cancel', job: job.id, epoch: job.epoch });
          reject(interrupted(signal));
        };
        signal.addEventListener('abort', cancel, { once: true });
        ended.signal.addEventListener('abort', () => signal.removeEventListener('abort', cancel));
        void this.#expire(job, ended.signal);
      });
    } finally {
      ended.abort();
    }
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
    const joined = await admit(() =>
      token === undefined ? keys.recognise('agent', key ?? '') : keys.redeem('agent', token, name, key),
    );
    const { id } = joined;
    await giveWay({
      clock,
      takeOver,
      what: `the agent ${id}`,
      present: () => this.#sessions.get(id),
      isSame: (session) => session.instance === instance,
      displace: (session, error) => {
        if (session.connection) refuse(session.connection, error, closeCodes.displaced);
        this.#cut(session);
      },
    });
    const session = this.#open(id, connection, hello);
    const kept = [...running, ...finished].filter((hold) => this.#jobs.held(id, hold));
    for (const hold of kept) this.#extend(id, hold);
    const say: HubMessage = {
      op: 'welcome',
      proto: agentProtocol,
      id,
      key: joined.key,
      heartbeatMs,
      keep: kept,
      addresses: [...this.peers.addresses],
    };
    connection.send(JSON.stringify(say));
    this.peers.met(id, hello, connection);
    connection.onMessage((message) => this.#receive(session, message));
    watchLine(connection, { clock, beat: () => connection.send(JSON.stringify({ op: 'beat' })) });
    // What it does not know of it never got, or lost with its memory: it gets it, under a new epoch.
    for (const job of this.#jobs.ofAgent(id)) {
      if (kept.some((hold) => sameHold(hold, { job: job.id, epoch: job.epoch }))) continue;
      if (job.told) job.epoch++;
      job.told = false;
      if (job.epoch > mostEpochs)
        this.#fail(job, new HildaError('DEVICE_GONE', `the agent ${id} lost the job ${mostEpochs} times`));
      else this.#lease(session, job);
    }
    this.#changed();
  }

  /** A session in place of the agent's last one, whose link was cut, or goes on beside its end unheard. */
  #open(id: string, connection: Connection, { instance, name, devices }: AgentHello): Session {
    const { clock } = this.#options;
    const before = this.#sessions.get(id);
    const former = before?.connection;
    this.#cut(before);
    former?.drop();
    const say = (message: HubMessage): void => connection.send(JSON.stringify(message));
    const rate = before?.rate ?? new LineRate();
    const session: Session = {
      id,
      instance,
      name,
      devices,
      connection,
      goneMs: 0,
      received: before?.received ?? new BulkReceiver({ maxBytes: maxOutputBytes, hash: contentHash }),
      rate,
      begun: before?.begun ?? new Set(),
      bulk: new BulkSender({
        clock,
        rate,
        peer: `the agent ${name}`,
        announce: (blob) => say({ op: 'blob', ...blob }),
        sendPiece: (frame) => connection.send(frame),
      }),
    };
    this.#sessions.set(id, session);
    connection.onClose(() => {
      if (session.connection !== connection) return;
      this.#cut(session);
      if (this.#sessions.get(id) === session) this.#changed();
    });
    return session;
  }

  /** The agent works on; it is waited for as long as its leases last. */
  #cut(session: Session | undefined): void {
    if (!session?.connection) return;
    session.connection = null;
    session.goneMs = this.#options.clock.nowMs() + this.#options.leaseMs;
    session.received.disconnect();
    session.bulk.close(new HildaError('DEVICE_GONE', `the line to the agent ${session.name} broke`));
  }

  #receive(session: Session, message: string | Uint8Array): void {
    // An end that was not heard of yet: what comes by the former link came too late.
    if (!session.connection) return;
    try {
      // Bytes that were not announced are refused there.
      if (typeof message !== 'string') {
        const { transfer, bytes } = session.received.piece(message);
        this.#say(session.id, { op: 'got', transfer, bytes });
      } else this.#hear(session, message);
    } catch (thrown) {
      const error =
        thrown instanceof HildaError
          ? thrown
          : new HildaError('MESSAGE_INVALID', 'the agent sent what is no message', { cause: thrown });
      if (session.connection) refuse(session.connection, error);
    }
  }

  #hear(session: Session, text: string): void {
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
        for (const hold of message.running) {
          if (!this.#extend(session.id, hold)) this.#say(session.id, { op: 'cancel', ...hold });
        }
        return;
      case 'progress':
        this.#extend(session.id, message)?.onProgress?.(message);
        return;
      case 'blob':
        this.#say(session.id, { op: 'got', ...session.received.announce(message) });
        return;
      case 'got':
        session.bulk.acknowledge(message);
        return;
      case 'refuse':
        session.bulk.refuse(message.transfer, new HildaError('NETWORK_TOO_LARGE', message.detail));
        return;
      case 'need':
        void this.#send(session, message);
        return;
      case 'result':
      case 'failed': {
        const { job: id, epoch } = message;
        // Before the job is closed: a result without its bytes is none.
        const { bytes, value } = contentsOf(message, session.received);
        const job = this.#jobs.take(session.id, { job: id, epoch });
        this.#say(session.id, { op: 'ack', job: id, epoch, accepted: job !== 'late' });
        if (typeof job === 'string') return;
        if (message.op === 'result') job.resolve({ value, bytes });
        else job.reject(failureOf(job, fromErrorDocument(message.error)));
      }
    }
  }

  /** What stops a transfer, but for the end of the link, stops its job. */
  async #send(session: Session, { sha256, ...hold }: Hold & { readonly sha256: string }): Promise<void> {
    const job = this.#extend(session.id, hold);
    const blob = [job?.model, job?.feeds, job?.inputs].find((blob) => blob?.sha256 === sha256);
    // A job that ended meanwhile: the agent is told so by its next heartbeat.
    if (!job || !blob) return;
    if (blob === job.model && !session.begun.has(sha256)) {
      session.begun.add(sha256);
      this.#transfers++;
    }
    job.coming.add(sha256);
    try {
      await session.bulk.deliver(blob.bytes, sha256);
      job.coming.delete(sha256);
    } catch (thrown) {
      if (session.connection && this.#jobs.held(session.id, hold)) {
        this.#say(session.id, { op: 'cancel', ...hold });
        this.#fail(job, asHildaError(thrown));
      }
    }
  }

  #lease(session: Session, job: Job): void {
    if (!session.connection) return;
    job.told = true;
    job.coming.clear();
    this.#leases++;
    const { id, epoch, device, work, model, feeds, inputs } = job;
    this.#say(session.id, {
      op: 'lease',
      job: id,
      epoch,
      device,
      work,
      model: model && { sha256: model.sha256, bytes: model.bytes.byteLength, binding: model.binding },
      feeds: feeds && { sha256: feeds.sha256, bytes: feeds.bytes.byteLength },
      inputs: inputs && { sha256: inputs.sha256, bytes: inputs.bytes.byteLength },
    });
  }

  #extend(agentId: string, hold: Hold): Job | undefined {
    const job = this.#jobs.held(agentId, hold);
    if (job) job.expiresMs = this.#options.clock.nowMs() + this.#options.leaseMs;
    return job;
  }

  async #expire(job: Job, ended: AbortSignal): Promise<void> {
    const { clock, leaseMs } = this.#options;
    try {
      for (;;) {
        await clock.sleep(Math.max(1, job.expiresMs - clock.nowMs()), { signal: ended });
        if (job.expiresMs > clock.nowMs()) continue;
        const gone = new HildaError(
          'DEVICE_GONE',
          `the agent ${job.agentId} gave no sign of life for ${leaseMs} ms`,
        );
        this.#fail(job, job.coming.size > 0 ? unreached(gone) : gone);
        return;
      }
    } catch {
      // The job ended before its lease.
    }
  }

  #fail(job: Job, error: HildaError): void {
    this.#jobs.close(job);
    job.reject(error);
  }

  #say(agentId: string, message: HubMessage): void {
    this.#sessions.get(agentId)?.connection?.send(JSON.stringify(message));
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

/** A result's value and tensors. Throws MESSAGE_INVALID where a content that it names is not here. */
function contentsOf(
  message: Extract<AgentMessage, { op: 'result' | 'failed' }>,
  received: BulkReceiver,
): Answer {
  if (message.op === 'failed') return { value: null, bytes: null };
  const { value, valueContent, tensors } = message;
  return {
    value:
      valueContent === undefined ? value : JSON.parse(Buffer.from(received.take(valueContent)).toString()),
    bytes: tensors === undefined ? null : received.take(tensors),
  };
}

function refuse(
  connection: Connection,
  { code, message, hint }: HildaError,
  closeCode: number = closeCodes.refused,
): void {
  const refused: HubMessage = { op: 'refused', code, detail: message, hint };
  connection.send(JSON.stringify(refused));
  connection.close(closeCode, code);
}

const interrupted = (signal: AbortSignal): HildaError =>
  new HildaError('INTERRUPTED', 'the job of the agent was aborted', { cause: signal.reason });

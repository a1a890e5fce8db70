import type { Clock } from '../../core/clock.js';
import { HildaError } from '../../core/errors.js';
import { BulkReceiver } from '../../core/link/bulk-receiver.js';
import { BulkSender } from '../../core/link/bulk-sender.js';
import { LineRate } from '../../core/link/line-rate.js';
import { type Connection, closeCodes, type LineState } from '../connection.js';
import { contentHash } from '../content-hash.js';
import type { AgentHello, HubMessage, OfferedDevice } from './wire.js';

export interface AgentSessionOptions {
  readonly id: string;
  readonly hello: AgentHello;
  readonly connection: Connection;
  readonly clock: Clock;
  /** The agent's last session, whose contents and rate go on. */
  readonly before: AgentSession | undefined;
  /** How long the agent counts as here once its line is cut. */
  readonly awayMs: number;
}

/** Of all results of one agent that are on their way. */
const maxOutputBytes = 256 * 2 ** 20;

/** One agent over one connection, with what it takes over from the connection before. */
export class AgentSession {
  readonly id: string;
  /** See `agentHelloSchema`. */
  readonly instance: string;
  readonly name: string;
  devices: readonly OfferedDevice[];
  /** Contents of results, on their way here; what came of one outlasts the line. */
  readonly received: BulkReceiver;
  readonly rate: LineRate;
  readonly bulk: BulkSender;
  /** Models of which at least the beginning was sent. */
  readonly begun: Set<string>;
  readonly #options: AgentSessionOptions;
  #connection: Connection | null;
  #goneMs = 0;
  /** When its line was cut; null before that. */
  #cutUs: number | null = null;

  constructor(options: AgentSessionOptions) {
    const { id, hello, connection, clock, before } = options;
    this.#options = options;
    this.#connection = connection;
    this.id = id;
    this.instance = hello.instance;
    this.name = hello.name;
    this.devices = hello.devices;
    this.received = before?.received ?? new BulkReceiver({ maxBytes: maxOutputBytes, hash: contentHash });
    this.rate = before?.rate ?? new LineRate();
    this.begun = before?.begun ?? new Set();
    this.bulk = new BulkSender({
      clock,
      rate: this.rate,
      peer: `the agent ${this.name}`,
      announce: (blob) => this.say({ op: 'blob', ...blob }),
      sendPiece: (frame) => connection.send(frame),
    });
  }

  /** Null while the line is cut. */
  get connection(): Connection | null {
    return this.#connection;
  }

  /** Connected, or cut for a short time. */
  get isHere(): boolean {
    return this.#connection !== null || this.#goneMs > this.#options.clock.nowMs();
  }

  get line(): LineState {
    const downUs = this.#cutUs === null ? null : this.#options.clock.monotonicUs() - this.#cutUs;
    return { ...this.rate.facts, downMs: downUs && downUs / 1000 };
  }

  /** Says nothing where the line is cut. */
  say(message: HubMessage): void {
    this.#connection?.send(JSON.stringify(message));
  }

  /** The line ended. The agent works on and may come back, unless it said that it leaves. */
  cut({ leaves = false } = {}): void {
    if (!this.#connection) return;
    const { clock, awayMs } = this.#options;
    this.#connection = null;
    this.#cutUs = clock.monotonicUs();
    this.#goneMs = leaves ? 0 : clock.nowMs() + awayMs;
    this.received.disconnect();
    this.bulk.close(new HildaError('DEVICE_GONE', `the line to the agent ${this.name} broke`));
  }

  /** Tells the agent why it is sent away, where it can be told, and ends the line. */
  refuse(error: HildaError, closeCode?: number): void {
    if (this.#connection) refuse(this.#connection, error, closeCode);
  }
}

/** Tells why, and ends the connection. */
export function refuse(
  connection: Connection,
  { code, message, hint }: HildaError,
  closeCode: number = closeCodes.refused,
): void {
  const refused: HubMessage = { op: 'refused', code, detail: message, hint };
  connection.send(JSON.stringify(refused));
  connection.close(closeCode, code);
}

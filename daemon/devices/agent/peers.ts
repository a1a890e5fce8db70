import type { Clock } from '../../core/clock.js';
import type { Measurement } from '../../core/measurement.js';
import type { Calibration } from '../../measure/calibration.js';
import type { Connection } from '../connection.js';
import { isAgentHere, type OwnMachine } from '../own-machine.js';
import { type ClockReading, PeerClock } from './peer-clock.js';

export interface PeersOptions {
  readonly clock: Clock;
  /** By which an agent on this machine is recognised; left out, none is. */
  readonly machine?: OwnMachine;
}

interface Peer {
  readonly clock: PeerClock;
  connection: Connection;
  here: boolean;
}

/** What is known of each agent beside its devices and jobs: its clock, whether it is this machine, what it was told of ours. */
export class AgentPeers {
  readonly #options: PeersOptions;
  readonly #peers = new Map<string, Peer>();
  #addresses: readonly string[] = [];

  constructor(options: PeersOptions) {
    this.#options = options;
  }

  /** Where agents can reach this daemon, the best first. */
  get addresses(): readonly string[] {
    return this.#addresses;
  }

  /** An agent joined, or came back; it was greeted already. */
  met(
    id: string,
    hello: { readonly clock?: ClockReading | undefined; readonly boot?: string | undefined },
    connection: Connection,
  ): void {
    const { machine } = this.#options;
    const clock = this.#peers.get(id)?.clock ?? new PeerClock(this.#options.clock);
    const boot = hello.boot ?? null;
    const here = machine !== undefined && isAgentHere({ address: connection.peer, boot }, machine);
    this.#peers.set(id, { clock, connection, here });
    if (hello.clock) clock.told(hello.clock);
    this.askClock(id);
  }

  askClock(id: string): void {
    const peer = this.#peers.get(id);
    peer?.connection.send(JSON.stringify({ op: 'clock', id: peer.clock.ask() }));
  }

  clockAnswered(id: string, { id: round, ...reading }: ClockReading & { readonly id: number }): void {
    this.#peers.get(id)?.clock.answered(round, reading);
  }

  /** Tells every agent the present addresses, and those who come later as they are greeted. */
  announce(addresses: readonly string[]): void {
    if (addresses.join() === this.#addresses.join()) return;
    this.#addresses = [...addresses];
    const text = JSON.stringify({ op: 'addresses', addresses: this.#addresses });
    for (const { connection } of this.#peers.values()) connection.send(text);
  }

  /** The agent computes on this machine's processors. */
  isHere(id: string): boolean {
    return this.#peers.get(id)?.here ?? false;
  }

  nowUs(): number {
    return this.#options.clock.monotonicUs();
  }

  /** Its measurement, asked for at `askedUs` of our monotonic clock, with times by our clock, and the manifest says how. */
  placed(id: string, measurement: Measurement, askedUs: number): Measurement {
    const { takenAtMs, durationMs, mark } = this.#clock(id).place(
      measurement.takenAtMs,
      measurement.durationMs,
      askedUs,
    );
    return { ...measurement, takenAtMs, durationMs, manifest: { ...measurement.manifest, clock: mark } };
  }

  /** A calibration may have been taken long before it was asked for. */
  placedCalibration(id: string, calibration: Calibration): Calibration {
    return { ...calibration, takenAtMs: this.#clock(id).past(calibration.takenAtMs) };
  }

  #clock(id: string): PeerClock {
    return this.#peers.get(id)?.clock ?? new PeerClock(this.#options.clock);
  }
}

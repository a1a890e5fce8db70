import type { Clock } from '../core/clock.js';
import { asHildaError, type HildaError } from '../core/errors.js';
import type { Json } from '../core/json.js';
import type { Measurement } from '../core/measurement.js';
import type { CallOptions, Device, Limits } from '../devices/contract.js';
import { networkFacts } from '../measure/network-facts.js';
import type { Protocol } from '../measure/protocol.js';
import { loadProtocol } from '../measure/protocols.js';
import { probeNetworks, referenceNetworks } from '../measure/references.js';
import { learnUndisturbed, regimeDeviation, type Undisturbed } from '../measure/regime.js';
import { betweenSessions, learnRepeat } from '../measure/repeatability.js';
import { joinSessions, planSessions, sessionValue, withinOf } from '../measure/sessions.js';
import type { Graph } from '../network/graph.js';
import { calibratedMs, inUnit, type RepeatabilityLedger, withProbe } from './repeatability-ledger.js';

export interface RepeatingOptions {
  readonly ledger: RepeatabilityLedger;
  readonly clock: Clock;
  /** Hears of a probe that failed: the measurement beside it stands. */
  readonly onTrouble?: (error: HildaError) => void;
}

/** The optional abilities, passed on as they are. */
const abilities = ['calibrate', 'profile', 'classify', 'run', 'deploy', 'runDeployed', 'reset'] as const;

/** Every so many measurements a probe network is measured again. */
const probeEvery = 32;
/** Once a target knows so many repeats, early probes would cost more than they teach. */
const enoughRepeats = 6;

/** A session beyond this is taken again: its references were 5 % slower than undisturbed. */
const calmDeviation = 0.01;
/** A machine that was disturbed so many times in a row is measured as it is. */
const mostDisturbed = 3;
/** A disturbed machine is given this long before it is measured again: neighbours of a shared host stay for seconds. */
const calmingMs = 2000;
/** Waiting takes at most this share of the time that was spent measuring, so that a search stays as fast. */
const waitingShare = 0.1;

/**
 * A device whose measurements hold from one session to the next: several sessions where the protocol asks for them, and an
 * interval that holds the target's variance between sessions. Every repeat teaches that variance. Devices that
 * count and do not time pass through, and so do emulated ones: they are identical run after run.
 */
export class RepeatingDevice implements Device {
  readonly #device: Device;
  readonly #options: RepeatingOptions;
  #measured = 0;
  /** Measurements in a row that found the machine disturbed in each of their sessions. */
  #disturbed = 0;
  /** What may still be waited; one wait is there from the start. */
  #waitingMs = calmingMs;

  constructor(device: Device, options: RepeatingOptions) {
    this.#device = device;
    this.#options = options;
    for (const name of abilities) {
      const ability = device[name];
      if (ability) Object.assign(this, { [name]: ability.bind(device) });
    }
  }

  get target(): Device['target'] {
    return this.#device.target;
  }

  get limits(): Limits {
    return this.#device.limits;
  }

  async measure(network: Graph, protocol: Protocol, options: CallOptions): Promise<Measurement> {
    const single = oneSession(protocol);
    const first = await this.#timed(network, single, options);
    if (!first.latency || first.provenance !== 'measured') return first;
    const joined = await this.#session(first, network, protocol, options);
    await this.#learn(joined);
    await this.#probeNowAndThen(options);
    return joined;
  }

  close(): Promise<void> {
    return this.#device.close();
  }

  /** Takes the sessions that are still missing. Those that are not valid are kept by name, and not used. */
  async #session(
    first: Measurement,
    network: Graph,
    protocol: Protocol,
    options: CallOptions,
  ): Promise<Measurement> {
    const { ledger } = this.#options;
    const record = await ledger.read();
    const between = betweenSessions(record.repeatability, this.target);
    const taken = [first];
    const isValid = ({ verdict }: Measurement): boolean => verdict === 'valid';
    const planned = planSessions(first, between, protocol);
    const { sessions: wanted } = planned;
    const later = { ...oneSession(protocol), maxRounds: planned.rounds };
    const levels = (): Undisturbed | null => taken.reduce(learnUndisturbed, record.undisturbed);
    const isCalm = (session: Measurement): boolean => regimeDeviation(session, levels()) <= calmDeviation;
    // A disturbed session is taken again, unless the machine stays like that. An invalid one is for the caller to repeat.
    const mayWait = this.#disturbed < mostDisturbed && (wanted > 1 || isValid(first));
    const most = wanted === 1 ? (mayWait ? 3 : 1) : 2 * wanted - 1;
    const enough = (): boolean =>
      taken.filter((session) => isValid(session) && (!mayWait || isCalm(session))).length >= wanted;
    while (!enough() && taken.length < most) {
      options.onProgress?.({ step: 'sessions', done: taken.length, of: wanted });
      if (!isCalm(taken.at(-1) as Measurement)) await this.#letCalm(options);
      taken.push(await this.#timed(network, later, options));
    }
    const undisturbed = levels();
    await ledger.write({ ...record, undisturbed });
    const valid = leastDisturbed(taken.filter(isValid), wanted, undisturbed);
    this.#disturbed = valid.every(isCalm) ? 0 : this.#disturbed + 1;
    const { minSessions = 1 } = protocol;
    if (valid.length < minSessions) {
      const last = taken.findLast((measurement) => !isValid(measurement)) ?? first;
      const reason = `Only ${valid.length} of ${taken.length} sessions are valid, ${minSessions} are needed. ${last.reason}`;
      return taken.length === 1 ? last : { ...last, reason, manifest: told(last, taken) };
    }
    const joined = joinSessions(valid, between, protocol, undisturbed);
    return taken.length === 1 ? joined : { ...joined, manifest: told(joined, taken) };
  }

  /** One session, which earns its share of waiting. */
  async #timed(network: Graph, protocol: Protocol, options: CallOptions): Promise<Measurement> {
    const taken = await this.#device.measure(network, protocol, options);
    this.#waitingMs = Math.min(mostDisturbed * calmingMs, this.#waitingMs + waitingShare * taken.durationMs);
    return taken;
  }

  async #letCalm({ signal }: CallOptions): Promise<void> {
    if (this.#waitingMs < calmingMs) return;
    this.#waitingMs -= calmingMs;
    await this.#options.clock.sleep(calmingMs, { signal });
  }

  /** Sessions of one measurement follow each other too closely to teach anything; they count as one. */
  async #learn(taken: Measurement): Promise<void> {
    const value = sessionValue(taken);
    if (!value || isReference(taken)) return;
    const { ledger, clock } = this.#options;
    const earlier = await ledger.earlier(taken);
    if (earlier.length === 0) return;
    const record = await ledger.read();
    const repeatability = learnRepeat(record.repeatability, earlier, value, clock.nowMs());
    await ledger.write({ ...record, repeatability });
  }

  /**
   * Both probes at the second, fourth, eighth and sixteenth measurement, until enough repeats are known; then one of them,
   * in turn, at every 32nd: the first repeats teach most, and a device that was opened again is known already.
   */
  async #probeNowAndThen({ signal }: CallOptions): Promise<void> {
    const n = ++this.#measured;
    const all = Object.entries(probeNetworks());
    const isEarly = n > 1 && n < probeEvery && (n & (n - 1)) === 0;
    if (!isEarly && n % probeEvery !== 0) return;
    const { repeatability } = await this.#options.ledger.read();
    if (isEarly && (repeatability?.freedom ?? 0) >= enoughRepeats) return;
    const due = isEarly ? all : [all[(n / probeEvery) % all.length] as (typeof all)[number]];
    try {
      for (const [name, network] of due) await this.#probe(name, network, signal);
    } catch (thrown) {
      signal.throwIfAborted();
      this.#options.onTrouble?.(asHildaError(thrown));
    }
  }

  async #probe(name: string, network: Graph, signal: AbortSignal): Promise<void> {
    const search = loadProtocol('search');
    const taken = await this.#device.measure(network, search, { signal });
    const { ledger, clock } = this.#options;
    const record = inUnit(await ledger.read(), calibratedMs(taken));
    const value = sessionValue(
      joinSessions([taken], betweenSessions(null, this.target), search, record.undisturbed),
    );
    if (!value) return;
    const earlier = record.probes[name] ?? [];
    const repeatability = learnRepeat(record.repeatability, earlier, value, clock.nowMs());
    await ledger.write(withProbe({ ...record, repeatability }, name, value));
  }
}

/** Those that count, in the order they were taken: chosen by the references' level alone, never by the network's. */
function leastDisturbed(
  valid: readonly Measurement[],
  wanted: number,
  undisturbed: Undisturbed | null,
): readonly Measurement[] {
  const deviation = (session: Measurement): number => regimeDeviation(session, undisturbed);
  const chosen = new Set([...valid].sort((a, b) => deviation(a) - deviation(b)).slice(0, wanted));
  return valid.filter((session) => chosen.has(session));
}

/** What a device is asked for: it knows of rounds alone. */
function oneSession({ minSessions: _, maxSessions: __, ...single }: Protocol): Protocol {
  return single;
}

/** Beside itself a reference repeats better than any other network. */
function isReference({ structureHash }: Measurement): boolean {
  referenceHashes ??= new Set(Object.values(referenceNetworks()).map((g) => networkFacts(g).structureHash));
  return referenceHashes.has(structureHash);
}

let referenceHashes: ReadonlySet<string> | undefined;

/** The manifest with a line for each session, the invalid ones included. */
const told = ({ manifest }: Measurement, taken: readonly Measurement[]): Measurement['manifest'] => ({
  ...manifest,
  sessions: taken.map(
    ({ latency, verdict, reason, rounds, takenAtMs }): Json => ({
      normalisedUs: latency?.normalisedUs ?? null,
      within: latency && withinOf(latency.normalisedCiUs),
      verdict,
      reason,
      rounds: rounds.length,
      takenAtMs,
    }),
  ),
});

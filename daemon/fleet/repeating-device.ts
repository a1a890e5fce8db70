import type { Clock } from '../core/clock.js';
import { asHildaError, type HildaError } from '../core/errors.js';
import type { Json } from '../core/json.js';
import type { Measurement } from '../core/measurement.js';
import type { CallOptions, Device, Limits } from '../devices/contract.js';
import { abilities } from '../devices/work.js';
import { networkFacts } from '../measure/network-facts.js';
import type { Protocol } from '../measure/protocol.js';
import { loadProtocol } from '../measure/protocols.js';
import { probeNetworks, referenceNetworks } from '../measure/references.js';
import { learnUndisturbed, regimeDeviation, type Undisturbed } from '../measure/regime.js';
import { betweenSessions, learnRepeat } from '../measure/repeatability.js';
import { joinSessions, planSessions, sessionValue, withinOf } from '../measure/sessions.js';
import type { Graph } from '../network/graph.js';
import { ExtraTime } from './extra-time.js';
import { calibratedMs, inUnit, type RepeatabilityLedger, withProbe } from './repeatability-ledger.js';

export interface RepeatingOptions {
  readonly ledger: RepeatabilityLedger;
  readonly clock: Clock;
  /** Hears of a probe that failed: the measurement beside it stands. */
  readonly onTrouble?: (error: HildaError) => void;
}

/** Every so many measurements a probe network is measured again. */
const probeEvery = 32;
/** Early probes, whose repeats teach most; once a target knows enough repeats they would cost more than they teach. */
const earlyProbes = 8;
const enoughRepeats = 6;

/** A session beyond this is taken again: its references were 5 % slower than undisturbed. */
const calmDeviation = 0.01;
/** A machine that was disturbed so many times in a row is measured as it is. */
const mostDisturbed = 3;
/** A disturbed machine is given this long before it is measured again: neighbours of a shared host stay for seconds. */
const calmingMs = 2000;

/**
 * A device whose measurements hold from one session to the next: several sessions where the protocol asks for them, and an
 * interval that holds the target's variance between sessions. Every repeat teaches that variance. Devices that
 * count and do not time pass through, and so do emulated ones: they are identical run after run.
 */
export class RepeatingDevice implements Device {
  readonly #device: Device;
  readonly #options: RepeatingOptions;
  readonly #extra = new ExtraTime();
  #measured = 0;
  #probed = { early: 0, later: 0 };
  /** How long the latest probe took; null before the first. */
  #probeMs: number | null = null;
  /** Measurements in a row whose every session found the machine disturbed. */
  #disturbed = 0;

  constructor(device: Device, options: RepeatingOptions) {
    this.#device = device;
    this.#options = options;
    // The optional abilities, passed on as they are.
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
    const first = await this.#device.measure(network, single, options);
    if (!first.latency || first.provenance !== 'measured') return first;
    this.#extra.earn(first.durationMs);
    const joined = await this.#session(first, network, protocol, options);
    await this.#learn(joined);
    await this.#probeNowAndThen(first.durationMs, options);
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
    // One session is all that a search asks for: another one must be affordable. An invalid one is for the caller to repeat.
    const isSingle = wanted === 1;
    const isRetaken = this.#disturbed < mostDisturbed && (!isSingle || isValid(first));
    const most = isSingle ? (isRetaken ? 3 : 1) : 2 * wanted - 1;
    const enough = (): boolean =>
      taken.filter((session) => isValid(session) && (!isRetaken || isCalm(session))).length >= wanted;
    while (!enough() && taken.length < most) {
      const last = taken.at(-1) as Measurement;
      if (isSingle && !this.#extra.affords(last.durationMs)) break;
      options.onProgress?.({ step: 'sessions', done: taken.length, of: wanted });
      if (!isCalm(last)) await this.#letCalm(isSingle ? last.durationMs : 0, options);
      const next = await this.#device.measure(network, later, options);
      if (isSingle) this.#extra.spend(next.durationMs);
      else this.#extra.earn(next.durationMs);
      taken.push(next);
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

  /** Waits where the budget holds the wait and what must follow it. */
  async #letCalm(thenMs: number, { signal }: CallOptions): Promise<void> {
    if (!this.#extra.affords(calmingMs + thenMs)) return;
    this.#extra.spend(calmingMs);
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

  /** Measures the probes that are due, in turn, as far as the budget reaches; `sessionMs` is what one may take. */
  async #probeNowAndThen(sessionMs: number, { signal }: CallOptions): Promise<void> {
    this.#measured++;
    const all = Object.entries(probeNetworks());
    try {
      while (this.#extra.affords(this.#probeMs ?? sessionMs)) {
        const due = await this.#dueProbe();
        if (due === null) return;
        const [name, network] = all[
          (this.#probed.early + this.#probed.later) % all.length
        ] as (typeof all)[number];
        this.#probed[due]++;
        await this.#probe(name, network, signal);
      }
    } catch (thrown) {
      signal.throwIfAborted();
      this.#options.onTrouble?.(asHildaError(thrown));
    }
  }

  /**
   * Two early probes at the second, fourth, eighth and sixteenth measurement, until enough repeats are known; then one at every
   * 32nd: the first repeats teach most, and a device that was opened again is known already.
   */
  async #dueProbe(): Promise<'early' | 'later' | null> {
    const { early, later } = this.#probed;
    if (later < Math.floor(this.#measured / probeEvery)) return 'later';
    if (early >= Math.min(earlyProbes, 2 * Math.floor(Math.log2(this.#measured)))) return null;
    const { repeatability } = await this.#options.ledger.read();
    return (repeatability?.freedom ?? 0) < enoughRepeats ? 'early' : null;
  }

  async #probe(name: string, network: Graph, signal: AbortSignal): Promise<void> {
    const search = loadProtocol('search');
    const { ledger, clock } = this.#options;
    const startUs = clock.monotonicUs();
    const taken = await this.#device.measure(network, search, { signal }).catch((thrown) => {
      this.#extra.spend((clock.monotonicUs() - startUs) / 1000);
      throw thrown;
    });
    this.#probeMs = taken.durationMs;
    this.#extra.spend(taken.durationMs);
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

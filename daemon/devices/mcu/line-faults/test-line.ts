import { asHildaError, HildaError } from '../../../core/errors.js';
import type { Measurement } from '../../../core/measurement.js';
import { Xoshiro128 } from '../../../core/rng.js';
import type { Protocol } from '../../../measure/protocol.js';
import type { Device, Sighting } from '../../contract.js';
import type { Fault } from './fault-list.js';
import type { LineUnderTest } from './lines-under-test.js';

/** Nothing may wait longer than this without a word. */
export const longestSilenceMs = 10_000;
/** A device that is not there is looked for again and again for so long, as the daemon does. */
const lookMs = 40_000;
const lookEveryMs = 1000;
/** What a measurement may take in all before it is aborted and counts as a hang. */
const patienceMs = 180_000;
/** How far a valid measurement may be from the truth outside its interval. */
const tolerance = 0.05;

export interface Outcome {
  readonly fault: string;
  readonly kind: Fault['kind'];
  readonly link: LineUnderTest['link'];
  readonly seed: number;
  /** While the fault lasted: `right`, `wrong`, a verdict, or an error's code. */
  readonly during: string;
  /** After it ended; null where it does not. */
  readonly after: string | null;
  /** Why it was not `right`. */
  readonly reason: string;
  /** Longest wait without progress, a device found or an end, milliseconds. */
  readonly silentMs: number;
  /** Every valid measurement told the truth. */
  readonly wrongValid: boolean;
  /** Null where a measurement must not be valid. */
  readonly recovered: boolean | null;
}

interface Attempt {
  readonly said: string;
  readonly reason: string;
  readonly silentMs: number;
}

export interface Truth {
  readonly us: number;
  readonly spanMs: number;
}

/** One measurement over the sound line: what later ones are held against. Throws where it is not valid. */
export async function soundMeasurement(
  line: LineUnderTest,
  protocol: Protocol,
  signal: AbortSignal,
): Promise<Truth> {
  const user = new User(line, protocol, signal);
  try {
    const startMs = line.clock.nowMs();
    const measurement = await user.measure();
    const us = line.truthUs ?? found(measurement);
    if (measurement.verdict !== 'valid' || !told(measurement, us))
      throw new HildaError(
        'DEVICE_FAILED',
        `over the sound line: ${measurement.verdict}: ${measurement.reason}`,
        { hint: 'Faults are tried on a board that is measured right without them.' },
      );
    return { us, spanMs: line.clock.nowMs() - startMs };
  } finally {
    await user.close();
  }
}

/**
 * Measures while a fault lasts and, where it ends, once more after it, as the daemon would: a device that failed is closed,
 * looked for and opened again. Null where the line cannot have the fault.
 */
export async function testFault(
  line: LineUnderTest,
  fault: Fault,
  { truth, seed, protocol, signal }: { truth: Truth; seed: number; protocol: Protocol; signal: AbortSignal },
): Promise<Outcome | null> {
  const chance = { rng: Xoshiro128.fromSeed(1000 + seed), spanMs: truth.spanMs };
  const user = new User(line, protocol, signal);
  try {
    // Half of the faults that end strike a device that is open, the others one that is yet to be found.
    if (fault.whileOpen || (fault.kind === 'ends' && seed % 2 === 1)) await user.attempt(truth.us);
    if (!line.strike(fault, chance)) return null;
    const during = await user.attempt(truth.us);
    line.heal();
    await line.port.settled();
    const after = fault.kind === 'ends' ? await user.attempt(truth.us) : null;
    const judged = after ?? during;
    return {
      fault: fault.name,
      kind: fault.kind,
      link: line.link,
      seed,
      during: during.said,
      after: after?.said ?? null,
      reason: judged.reason,
      silentMs: Math.max(during.silentMs, after?.silentMs ?? 0),
      wrongValid:
        during.said === 'wrong' ||
        after?.said === 'wrong' ||
        (fault.kind === 'told' && during.said === 'right'),
      recovered: fault.kind === 'told' ? null : judged.said === 'right',
    };
  } finally {
    line.heal();
    await user.close();
  }
}

/** Someone who measures on the board by its driver. */
class User {
  #device: Device | undefined;
  #lastSignMs: number;
  #silentMs = 0;

  constructor(
    readonly line: LineUnderTest,
    readonly protocol: Protocol,
    readonly signal: AbortSignal,
  ) {
    this.#lastSignMs = line.clock.nowMs();
  }

  async attempt(truthUs: number): Promise<Attempt> {
    this.#lastSignMs = this.line.clock.nowMs();
    this.#silentMs = 0;
    const answer = await this.#measured(truthUs);
    this.#sign();
    return { ...answer, silentMs: this.#silentMs };
  }

  async measure(): Promise<Measurement> {
    const { clock, network } = this.line;
    const late = new AbortController();
    const over = new AbortController();
    clock.sleep(patienceMs, { signal: over.signal }).then(
      () => late.abort(),
      () => {},
    );
    const signal = AbortSignal.any([this.signal, late.signal]);
    try {
      this.#device ??= await this.#open(signal);
      this.#sign();
      return await this.#device.measure(network, this.protocol, { signal, onProgress: () => this.#sign() });
    } catch (thrown) {
      const error = asHildaError(thrown);
      if (error.code !== 'NETWORK_REJECTED') await this.close();
      throw error;
    } finally {
      over.abort();
    }
  }

  async close(): Promise<void> {
    const device = this.#device;
    this.#device = undefined;
    await device?.close().catch(() => {});
  }

  async #measured(truthUs: number): Promise<Omit<Attempt, 'silentMs'>> {
    try {
      const measurement = await this.measure();
      const { verdict, reason } = measurement;
      if (verdict !== 'valid') return { said: verdict, reason };
      const right = told(measurement, truthUs);
      return {
        said: right ? 'right' : 'wrong',
        reason: right ? reason : `${found(measurement)} us, not ${truthUs}`,
      };
    } catch (thrown) {
      this.signal.throwIfAborted();
      const { code, message } = asHildaError(thrown);
      return { said: code, reason: message };
    }
  }

  async #open(signal: AbortSignal): Promise<Device> {
    const { clock, driver } = this.line;
    const untilMs = clock.nowMs() + lookMs;
    let obstacle = 'no board was seen';
    for (;;) {
      let seen: Sighting | undefined;
      for await (const sighting of driver.discover({ signal })) seen ??= sighting;
      this.#sign();
      if (seen?.obstacle === null) return driver.open(seen, { signal });
      obstacle = seen?.obstacle ?? obstacle;
      if (clock.nowMs() > untilMs) throw new HildaError('DEVICE_GONE', obstacle);
      await clock.sleep(lookEveryMs, { signal });
    }
  }

  #sign(): void {
    const nowMs = this.line.clock.nowMs();
    this.#silentMs = Math.max(this.#silentMs, nowMs - this.#lastSignMs);
    this.#lastSignMs = nowMs;
  }
}

function found({ latency, counts }: Measurement): number {
  return latency?.normalisedUs ?? counts?.total ?? Number.NaN;
}

/** Within the interval or 5 %. Counts have no interval. */
function told(measurement: Measurement, truthUs: number): boolean {
  const [low, high] = measurement.latency?.normalisedCiUs ?? [Number.NaN, Number.NaN];
  const value = found(measurement);
  return (low <= truthUs && truthUs <= high) || Math.abs(value - truthUs) <= tolerance * truthUs;
}

/** Totals over outcomes: what `bench line-faults` and `hilda devices test-line` end with. */
export function tally(outcomes: readonly Outcome[]) {
  const ending = outcomes.filter(({ recovered }) => recovered !== null);
  return {
    kinds: new Set(outcomes.map(({ fault }) => fault)).size,
    runs: outcomes.length,
    faults: ending.length,
    recovered: ending.filter(({ recovered }) => recovered).length,
    wrongValid: outcomes.filter(({ wrongValid }) => wrongValid).length,
    hangs: outcomes.filter(({ silentMs }) => silentMs > longestSilenceMs).length,
    longestSilenceMs: Math.round(Math.max(0, ...outcomes.map(({ silentMs }) => silentMs))),
  };
}

export type Tally = ReturnType<typeof tally>;

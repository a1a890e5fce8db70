import { besideLimit } from '../core/beside-limit.js';
import type { Latency, Measurement, Summary } from '../core/measurement.js';
import { leastLegUs } from './measure-latency.js';
import type { Protocol } from './protocol.js';
import { regimeDeviation, type Undisturbed } from './regime.js';
import { type Between, halfInterval, type SessionValue } from './repeatability.js';

/** Measurements of one network in several sessions, made into one with an interval of both parts. */

/** What one session says, from its own interval; null where it holds no time or is not valid. */
export function sessionValue({
  latency,
  verdict,
}: Pick<Measurement, 'latency' | 'verdict'>): SessionValue | null {
  if (!latency || verdict !== 'valid') return null;
  const { spread, normalisedCiUs, clockOff } = latency;
  const within = spread
    ? Math.hypot(spread.within, spread.regime * Math.sqrt(spread.sessions))
    : withinOf(normalisedCiUs) - clockHalf(clockOff) / 1.96;
  const value = { logUs: Math.log(latency.normalisedUs), within, sessions: latency.spread?.sessions ?? 1 };
  return Number.isFinite(value.logUs) && Number.isFinite(within) ? value : null;
}

/** The standard error, of the logarithm, that the 95 % interval of one session stands for. */
export const withinOf = ([low, high]: Latency['normalisedCiUs']): number => Math.log(high / low) / 2 / 1.96;

/** Half of what a clock that may be off by a share adds to the interval of the logarithm. */
const clockHalf = (off: number | null | undefined): number =>
  off ? (Math.log1p(off) - Math.log1p(-off)) / 2 : 0;

/**
 * How many sessions reach the protocol's half-width, from the two variances; and how many rounds each of them is worth,
 * from the two costs (Kalibera and Jones, 2013, equation 3: the square root of cost ratio times variance ratio).
 */
export function planSessions(
  first: Measurement,
  between: Between,
  protocol: Protocol,
): { readonly sessions: number; readonly rounds: number } {
  const { minSessions = 1, maxSessions = 1 } = protocol;
  const value = sessionValue(first);
  const kept = first.rounds.filter((round) => round.kept);
  if (!value || kept.length === 0 || maxSessions <= 1)
    return { sessions: minSessions, rounds: protocol.maxRounds };
  const roundVariance = value.within ** 2 * kept.length;
  const legUs = (us: number): number => Math.max(leastLegUs, us * protocol.runsPerLeg);
  const roundUs = mean(
    kept.map((r) => legUs(r.referenceBeforeUs) + legUs(r.candidateUs) + legUs(r.referenceAfterUs)),
  );
  const roundsUs = roundUs * first.rounds.length;
  const openUs = Math.max(100_000, first.durationMs * 1000 - roundsUs);
  const worth =
    between.variance === 0
      ? protocol.maxRounds
      : Math.sqrt((openUs / roundUs) * (roundVariance / between.variance));
  const rounds = Math.min(protocol.maxRounds, Math.max(protocol.minRounds, Math.ceil(worth)));
  const half = halfInterval(between, roundVariance / rounds, 1);
  const sessions = Math.ceil((half / protocol.ciHalfWidth) ** 2);
  return { sessions: Math.min(maxSessions, Math.max(minSessions, sessions)), rounds };
}

/**
 * One measurement of valid sessions of one network. The value is the geometric mean; the interval takes the target's
 * variance between sessions together with what these sessions show themselves. Throws RangeError on an empty list.
 */
export function joinSessions(
  sessions: readonly Measurement[],
  known: Between,
  protocol: Pick<Protocol, 'ciHalfWidth'>,
  undisturbed: Undisturbed | null = null,
): Measurement {
  const [first] = sessions;
  if (!first) throw new RangeError('no sessions');
  const values = sessions.map(sessionValue);
  if (!first.latency || values.some((value) => value === null)) return first;
  const sure = values as SessionValue[];
  const logUs = mean(sure.map((value) => value.logUs));
  const withinVariance = mean(sure.map((value) => value.within ** 2));
  const between = withOwn(known, sure, withinVariance);
  // Sessions of one measurement are mostly in one regime: their number does not narrow its part.
  const regime = mean(sessions.map((session) => regimeDeviation(session, undisturbed)));
  // Every session reads one clock: what it may be off by is the same in all.
  const clock = Math.max(...sessions.map(({ latency }) => clockHalf(latency?.clockOff)));
  const half = Math.hypot(halfInterval(between, withinVariance, sessions.length), 1.96 * regime) + clock;
  const latencies = sessions.map(({ latency }) => latency as Latency);
  const latency: Latency = {
    ...first.latency,
    rawUs: joinSummaries(latencies.map((l) => l.rawUs)),
    ratio: joinSummaries(latencies.map((l) => l.ratio)),
    normalisedUs: Math.exp(logUs),
    normalisedCiUs: [Math.exp(logUs - half), Math.exp(logUs + half)],
    spread: {
      within: Math.sqrt(withinVariance),
      between: Math.sqrt(between.variance),
      regime,
      freedom: between.freedom,
      sessions: sessions.length,
      repeats: known.repeats,
    },
  };
  return {
    ...first,
    latency,
    reason: `${first.reason.replace(/\.$/, '')}; ${limitOf({ half, withinVariance, between, regime, clock }, sessions.length, protocol)}.`,
    rounds: sessions.flatMap(({ rounds }) => rounds),
    // Not from the first moment to the last: the clock may be set meanwhile.
    durationMs: sessions.reduce((sum, session) => sum + session.durationMs, 0),
  };
}

/** Pools the sessions' own scatter with the target's variance by degrees of freedom, the target's being at most 20. */
function withOwn(known: Between, values: readonly SessionValue[], withinVariance: number): Between {
  const own = values.length - 1;
  if (own === 0) return known;
  const middle = mean(values.map(({ logUs }) => logUs));
  const squares = values.reduce((sum, { logUs }) => sum + (logUs - middle) ** 2, 0);
  const scatter = Math.max(0, squares / own - withinVariance);
  const trusted = Math.min(known.freedom, 20);
  return {
    ...known,
    variance: (known.variance * trusted + scatter * own) / (trusted + own),
    freedom: trusted + own,
  };
}

interface Limits {
  readonly half: number;
  readonly withinVariance: number;
  readonly between: Between;
  readonly regime: number;
  readonly clock: number;
}

/** Which part keeps the interval from being narrower. */
function limitOf(
  { half, withinVariance, between, regime, clock }: Limits,
  sessions: number,
  { ciHalfWidth }: Pick<Protocol, 'ciHalfWidth'>,
): string {
  const share = between.variance / (between.variance + withinVariance || 1);
  const part =
    clock > 0.7 * half
      ? `the clock of the device limits it (off by up to ${percent(clock)})`
      : 1.96 * regime > 0.7 * half
        ? `the machine is not in its undisturbed state (${percent(regime)})`
        : share > 0.5
          ? `the spread between sessions limits it (${percent(Math.sqrt(between.variance))}${between.repeats === 0 ? ', assumed' : ''})`
          : `the spread within a session limits it (${percent(Math.sqrt(withinVariance))})`;
  const known = besideLimit(half, ciHalfWidth, {
    decimals: 2,
    write: (value, digits) => `${(value * 100).toPrecision(digits)} %`,
  });
  const wish = half > ciHalfWidth && sessions > 1 ? `, ${known.limit} was asked for` : '';
  return `known to ${wish === '' ? percent(half) : known.figure} over ${sessions === 1 ? 'one session' : `${sessions} sessions`}${wish}: ${part}`;
}

/** The middle of each figure; `min` and `n` over all. Its interval is that of the single sessions, narrowed by their number. */
function joinSummaries(all: readonly Summary[]): Summary {
  if (all.length === 1) return all[0] as Summary;
  const average = (key: keyof Summary): number => mean(all.map((summary) => summary[key]));
  const middle = average('median');
  const half = (average('ciHigh') - average('ciLow')) / 2 / Math.sqrt(all.length);
  return {
    n: all.reduce((sum, { n }) => sum + n, 0),
    min: Math.min(...all.map(({ min }) => min)),
    median: middle,
    p90: average('p90'),
    mad: average('mad'),
    ciLow: middle - half,
    ciHigh: middle + half,
  };
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
const percent = (share: number): string => `${(share * 100).toPrecision(2)} %`;

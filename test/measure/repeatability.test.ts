import fc from 'fast-check';
import t from 'tap';
import { ManualClock } from '../../daemon/core/clock.js';
import type { Measurement, Round } from '../../daemon/core/measurement.js';
import { gaussian, Xoshiro128 } from '../../daemon/core/rng.js';
import { assembleMeasurement, isTimedAlike } from '../../daemon/measure/assemble.js';
import { measureLatency } from '../../daemon/measure/measure-latency.js';
import { estimateWeight, mixed, priorWeight } from '../../daemon/measure/mixture.js';
import { networkFacts } from '../../daemon/measure/network-facts.js';
import { loadProtocol } from '../../daemon/measure/protocols.js';
import { probeNetworks, referenceNetworks } from '../../daemon/measure/references.js';
import { learnUndisturbed, regimeDeviation } from '../../daemon/measure/regime.js';
import {
  betweenSessions,
  halfInterval,
  learnRepeat,
  type Repeatability,
  type SessionValue,
} from '../../daemon/measure/repeatability.js';
import type { RoundRunner } from '../../daemon/measure/round-runner.js';
import { joinSessions, planSessions, sessionValue } from '../../daemon/measure/sessions.js';
import { normalTwoSided, studentTwoSided } from '../../daemon/measure/student.js';

const { signal } = new AbortController();
const host = { tier: 'host' } as const;

t.test('quantiles of Student and the normal', async (t) => {
  // Two-sided 5 % and 1 %, from published tables; 2.5 degrees of freedom from an independent library.
  for (const [freedom, five, one] of [
    [1, 12.7062, 63.6567],
    [2, 4.3027, 9.9248],
    [3, 3.1824, 5.8409],
    [5, 2.5706, 4.0321],
    [10, 2.2281, 3.1693],
    [30, 2.0423, 2.75],
    [2.5, 3.5747, 7.1637],
  ] as const) {
    t.ok(Math.abs(studentTwoSided(0.05, freedom) / five - 1) < 1e-3, `${freedom}`);
    t.ok(Math.abs(studentTwoSided(0.01, freedom) / one - 1) < 2e-3, `${freedom} at 1 %`);
  }
  t.ok(Math.abs(normalTwoSided(0.05) - 1.959964) < 1e-6);
  t.ok(Math.abs(studentTwoSided(0.05, Number.POSITIVE_INFINITY) - 1.959964) < 1e-6);
  for (const bad of [0, 1, Number.NaN]) t.throws(() => studentTwoSided(bad, 3), RangeError);
  t.throws(() => studentTwoSided(0.05, 0.5), RangeError);
});

interface TwoLevel {
  readonly between: number;
  /** Standard deviation of the logarithm of one leg. */
  readonly within: number;
  readonly trueUs?: number;
}

/** A machine whose every session is off by a factor of its own, and whose every leg has noise. */
async function session(
  { between, within, trueUs = 1500 }: TwoLevel,
  rng: Xoshiro128,
  protocol = loadProtocol('search'),
): Promise<Measurement> {
  const clock = new ManualClock();
  const sessionUs = trueUs * Math.exp(between * gaussian(rng));
  const runner: RoundRunner = {
    holdsBoth: true,
    async time(legs) {
      const samplesUs = legs.map(({ network, runs }) =>
        new Float64Array(runs).fill(
          (network === 'candidate' ? sessionUs : 500) * Math.exp(within * gaussian(rng)),
        ),
      );
      await clock.advance(15);
      return { samplesUs, lostShare: null };
    },
  };
  const run = await measureLatency(runner, protocol, { clock, rng, signal, likeFirst: 1 });
  return assembleMeasurement({
    facts: networkFacts(probeNetworks().convolution),
    target: {
      model: 'synthetic',
      clockHz: null,
      runtime: 'none',
      runtimeVersion: '1',
      provider: 'cpu',
      threads: 1,
      dtype: 'float32',
      tier: 'host',
    },
    provenance: 'measured',
    protocol,
    run,
    reference: 'convolution',
    calibration: { convolutionUs: 500, transformerUs: 500, takenAtMs: 0 },
    loadUs: 1,
    firstRunUs: 1,
    activationPeakBytes: null,
    runPeakRssBytes: null,
    manifest: {},
    takenAtMs: 0,
    durationMs: 1000,
  });
}

t.test('values of another timing rule are told apart; counts have none', async (t) => {
  const taken = await session({ between: 0.01, within: 0.01 }, Xoshiro128.fromSeed(1));
  t.ok(isTimedAlike(taken));
  const { timingRule: _, ...earlier } = taken.manifest;
  t.notOk(isTimedAlike({ manifest: earlier }), 'a version that knew no rules');
  t.notOk(isTimedAlike({ manifest: { ...taken.manifest, timingRule: 1 } }));
  t.ok(isTimedAlike({ manifest: { firmwareBuild: 'x' } }));
});

const covers = ({ latency }: Measurement, us: number): boolean =>
  latency !== null && latency.normalisedCiUs[0] <= us && us <= latency.normalisedCiUs[1];

t.test(
  'intervals of one session cover at their nominal rate, once repeats have taught the target',
  async (t) => {
    const protocol = loadProtocol('search');
    for (const noise of [
      { between: 0.012, within: 0.015 },
      { between: 0.03, within: 0.005 },
      { between: 0.002, within: 0.03 },
    ]) {
      const rng = Xoshiro128.fromSeed(11);
      let known: Repeatability | null = null;
      const earlier: SessionValue[] = [];
      for (let repeat = 0; repeat < 60; repeat++) {
        const value = sessionValue(await session(noise, rng));
        if (!value) continue;
        known = learnRepeat(known, earlier.slice(-8), value, repeat);
        earlier.push(value);
      }
      const between = betweenSessions(known, host);
      t.ok(between.repeats >= 40, `${between.repeats} repeats`);
      t.ok(
        Math.abs(Math.sqrt(between.variance) - noise.between) < 0.35 * noise.between + 0.004,
        `${Math.sqrt(between.variance)} for ${noise.between}`,
      );
      let [covered, pairs, seen] = [0, 0, 0];
      while (seen < 200) {
        const taken = joinSessions([await session(noise, rng)], between, protocol);
        const again = joinSessions([await session(noise, rng)], between, protocol);
        if (taken.verdict !== 'valid' || again.verdict !== 'valid') continue;
        if (covers(taken, 1500)) covered++;
        const [a, b] = [taken, again].map(
          ({ latency }) => latency?.normalisedCiUs as readonly [number, number],
        );
        const half = Math.hypot(...[a, b].map((ci) => Math.log((ci?.[1] ?? 0) / (ci?.[0] ?? 1)) / 2));
        const apart = Math.abs(
          Math.log((taken.latency?.normalisedUs ?? 0) / (again.latency?.normalisedUs ?? 1)),
        );
        if (apart <= half) pairs++;
        seen++;
      }
      // 200 draws at 95 %: three standard errors are 5 %.
      t.ok(covered / seen >= 0.9 && covered / seen <= 0.995, `covered ${covered} of ${seen}`);
      t.ok(pairs / seen >= 0.9 && pairs / seen <= 0.995, `pairs ${pairs} of ${seen}`);
    }
  },
);

t.test('a loop that stops at the first narrow interval still covers', async (t) => {
  // No spread between sessions: what is tested is the interval within, stopped when it looks narrow enough.
  const protocol = {
    ...loadProtocol('search'),
    minRounds: 8,
    maxRounds: 400,
    maxMs: 60_000,
    ciHalfWidth: 0.012,
  };
  const rng = Xoshiro128.fromSeed(3);
  let [covered, looked] = [0, 0];
  const draws = 200;
  for (let i = 0; i < draws; i++) {
    const taken = await session({ between: 0, within: 0.03 }, rng, protocol);
    if (taken.rounds.length > protocol.minRounds) looked++;
    const ratio = taken.latency?.ratio;
    if (ratio && ratio.ciLow <= 3 && 3 <= ratio.ciHigh) covered++;
  }
  t.ok(looked > draws / 3, `${looked} of ${draws} looked more than once`);
  t.ok(covered / draws >= 0.93, `${covered} of ${draws}`);
});

t.test(
  'several sessions narrow the interval, and their number follows from variances and costs',
  async (t) => {
    const careful = loadProtocol('careful');
    const rng = Xoshiro128.fromSeed(7);
    const noise = { between: 0.012, within: 0.01 };
    const between = { variance: noise.between ** 2, freedom: 60, repeats: 56 };
    let covered = 0;
    let sessions = 0;
    for (let i = 0; i < 60; i++) {
      const first = await session(noise, rng, careful);
      const plan = planSessions(first, between, careful);
      sessions = plan.sessions;
      const all = [first];
      while (all.length < plan.sessions) all.push(await session(noise, rng, careful));
      const joined = joinSessions(all, between, careful);
      if (covers(joined, 1500)) covered++;
    }
    t.ok(covered >= 52, `covered ${covered} of 60`);
    t.ok(sessions >= 3 && sessions <= 6, `${sessions} sessions`);
    const first = await session(noise, rng, careful);
    const steady = planSessions(first, { variance: 1e-8, freedom: 60, repeats: 56 }, careful);
    const unsteady = planSessions(first, { variance: 0.03 ** 2, freedom: 60, repeats: 56 }, careful);
    t.equal(steady.sessions, careful.minSessions);
    t.equal(unsteady.sessions, careful.maxSessions);
    t.ok(unsteady.rounds <= steady.rounds, 'rounds are worth less where sessions differ');
    t.equal(planSessions(first, between, loadProtocol('search')).sessions, 1);
    t.match(joinSessions([first], between, careful).reason, /known to .* over one session.*limits it/);
  },
);

t.test('repeats: laws', async (t) => {
  t.equal(learnRepeat(null, [], { logUs: 1, within: 0.01, sessions: 1 }, 0), null);
  const prior = betweenSessions(null, host);
  t.equal(prior.repeats, 0);
  t.ok(betweenSessions(null, { tier: 'board' }).variance < prior.variance / 10);
  const value = fc.record({
    logUs: fc.double({ min: -3, max: 3, noNaN: true }),
    within: fc.double({ min: 0, max: 0.1, noNaN: true }),
    sessions: fc.integer({ min: 1, max: 9 }),
  });
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 6 }), value, (earlier, taken) => {
      const learnt = learnRepeat(null, earlier, taken, 5) as Repeatability;
      const moved = (by: number) =>
        learnRepeat(
          null,
          earlier.map((v) => ({ ...v, logUs: v.logUs + by })),
          { ...taken, logUs: taken.logUs + by },
          5,
        ) as Repeatability;
      const between = betweenSessions(learnt, host);
      return (
        learnt.freedom === 1 &&
        Math.abs(moved(0.7).sumSquares - learnt.sumSquares) < 1e-9 &&
        between.variance > 0 &&
        halfInterval(between, taken.within ** 2, 1) >= halfInterval(between, taken.within ** 2, 4)
      );
    }),
  );
  let known: Repeatability | null = null;
  for (let i = 0; i < 2000; i++) {
    const off = i < 1000 ? 0.1 : 0.001;
    known = learnRepeat(
      known,
      [{ logUs: 0, within: 0, sessions: 1 }],
      { logUs: i % 2 ? off : -off, within: 0, sessions: 1 },
      i,
    );
  }
  t.ok((known?.freedom ?? 0) <= 401, 'older repeats fade');
  t.ok(Math.sqrt(betweenSessions(known, host).variance) < 0.03, 'a machine that became steady is believed');
  t.same(
    learnRepeat(
      known,
      [{ logUs: Number.NaN, within: 0, sessions: 1 }],
      { logUs: 0, within: 0, sessions: 1 },
      0,
    ),
    known,
  );
});

t.test('the mixture moves as the network does', async (t) => {
  const { convolution, transformer } = referenceNetworks();
  t.ok(priorWeight(convolution) > 0.8);
  t.equal(priorWeight(transformer), 0);
  t.equal(mixed(4, 9, 0.5), 6);
  const rng = Xoshiro128.fromSeed(9);
  const rounds = (weight: number, regimes: number): Round[] => {
    let regime = 0;
    return Array.from({ length: 40 }, () => {
      if (rng.next() < 0.2) regime = regimes * gaussian(rng);
      const noise = (): number => Math.exp(0.01 * gaussian(rng));
      const [conv, matrix] = [500 * Math.exp(regime), 500 * Math.exp(2 * regime)];
      return {
        referenceBeforeUs: conv * noise(),
        candidateUs: 3 * mixed(conv, matrix, weight) * noise(),
        referenceAfterUs: matrix * noise(),
        kept: true,
      };
    });
  };
  for (const weight of [0, 0.4, 1]) {
    const found = estimateWeight(rounds(weight, 0.5), 0.5);
    t.ok(Math.abs(found - weight) < 0.15, `${found} for ${weight}`);
    t.ok(Math.abs(estimateWeight(rounds(weight, 0), 0.9) - 0.9) < 0.1, 'without regimes the prior holds');
  }
  t.equal(estimateWeight([], 0.3), 0.3);
});

t.test('a machine that is not in its undisturbed state widens the interval', async (t) => {
  const rng = Xoshiro128.fromSeed(13);
  const quiet = await session({ between: 0, within: 0.005 }, rng);
  const slowed = (by: number): Measurement => ({
    ...quiet,
    rounds: quiet.rounds.map((round) => ({
      ...round,
      referenceBeforeUs: round.referenceBeforeUs * by,
      candidateUs: round.candidateUs * by,
      referenceAfterUs: round.referenceAfterUs * by,
    })),
  });
  const undisturbed = learnUndisturbed(null, quiet);
  t.ok(Math.abs((undisturbed?.convolutionUs ?? 0) / 500 - 1) < 0.01);
  t.equal(regimeDeviation(quiet, null), 0);
  t.ok(regimeDeviation(quiet, undisturbed) < 0.001);
  const busy = regimeDeviation(slowed(1.3), undisturbed);
  t.ok(Math.abs(busy - 0.22 * Math.log(1.3)) < 0.001, `${busy}`);
  const between = { variance: 0.01 ** 2, freedom: 60, repeats: 56 };
  const protocol = loadProtocol('search');
  const width = ({ latency }: Measurement): number =>
    Math.log((latency?.normalisedCiUs[1] ?? 0) / (latency?.normalisedCiUs[0] ?? 1)) / 2;
  const [narrow, wide] = [quiet, slowed(1.3)].map((taken) =>
    joinSessions([taken], between, protocol, undisturbed),
  ) as [Measurement, Measurement];
  t.ok(width(wide) > 1.96 * busy && width(wide) > 3 * width(narrow));
  t.match(wide.reason, /not in its undisturbed state/);
  t.ok((sessionValue(wide)?.within ?? 0) > busy, 'what the regime explains teaches nothing of the target');
  // Faster is believed at once, slower by 1 % a session.
  t.ok((learnUndisturbed(undisturbed, slowed(0.8))?.convolutionUs ?? 0) < 405);
  let level = undisturbed;
  level = learnUndisturbed(level, slowed(1.3));
  t.ok((level?.convolutionUs ?? 0) < 510);
  for (let i = 0; i < 40; i++) level = learnUndisturbed(level, slowed(1.3));
  t.ok(
    Math.abs((level?.convolutionUs ?? 0) / 650 - 1) < 0.01,
    'a machine that stays slow is undisturbed again',
  );
  const one = { ...quiet, latency: quiet.latency && { ...quiet.latency, convolutionWeight: null } };
  t.equal(learnUndisturbed(undisturbed, one), undisturbed);
  t.equal(regimeDeviation(one, undisturbed), 0);
});

t.test(
  'what the clock of a device may be off by is in every interval, and no repetition narrows it',
  async (t) => {
    const [protocol, rng] = [loadProtocol('careful'), Xoshiro128.fromSeed(21)];
    const between = { variance: 0.004 ** 2, freedom: 60, repeats: 56 };
    const width = ({ latency }: Measurement): number =>
      Math.log((latency?.normalisedCiUs[1] ?? 0) / (latency?.normalisedCiUs[0] ?? 1)) / 2;
    /** As a board with such a clock returns it. */
    const offBy = (off: number, taken: Measurement): Measurement => {
      const [low, high] = taken.latency?.normalisedCiUs ?? [0, 0];
      const normalisedCiUs = [low * (1 - off), high * (1 + off)] as const;
      return { ...taken, latency: taken.latency && { ...taken.latency, normalisedCiUs, clockOff: off } };
    };
    const sessions: Measurement[] = [];
    while (sessions.length < 12)
      sessions.push(await session({ between: 0.004, within: 0.005 }, rng, protocol));
    for (const off of [0.0025, 0.01, 0.05]) {
      for (const n of [1, 3, 12]) {
        const exact = joinSessions(sessions.slice(0, n), between, protocol);
        const joined = joinSessions(
          sessions.slice(0, n).map((one) => offBy(off, one)),
          between,
          protocol,
        );
        t.ok(Math.abs(width(joined) - width(exact) - off) < 0.01 * off, `${off} over ${n}: ${width(joined)}`);
        t.equal(joined.latency?.clockOff, off);
        const [value, plain] = [sessionValue(joined), sessionValue(exact)];
        t.ok(Math.abs((value?.within ?? 0) - (plain?.within ?? 1)) < 1e-9, 'it teaches nothing of repeats');
      }
    }
    t.match(
      joinSessions(
        sessions.map((one) => offBy(0.05, one)),
        between,
        protocol,
      ).reason,
      /the clock of the device/,
    );
  },
);

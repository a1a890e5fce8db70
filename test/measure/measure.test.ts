import fc from 'fast-check';
import t from 'tap';
import { ManualClock } from '../../daemon/core/clock.js';
import { sha256Hex } from '../../daemon/core/hash.js';
import { gaussian, Xoshiro128 } from '../../daemon/core/rng.js';
import { measureLatency } from '../../daemon/measure/measure-latency.js';
import { loadProtocol, protocolNames } from '../../daemon/measure/protocols.js';
import { referenceFor, referenceNetworks } from '../../daemon/measure/references.js';
import type { RoundRunner } from '../../daemon/measure/round-runner.js';
import {
  bootstrapMedianInterval,
  median,
  quantile,
  spearman,
  summarise,
} from '../../daemon/measure/statistics.js';
import { judge } from '../../daemon/measure/verdict.js';
import type { Graph } from '../../daemon/network/graph.js';

const { signal } = new AbortController();
const finite = fc.array(fc.double({ min: 1e-3, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 60 });

t.test('statistics', async (t) => {
  t.equal(median([3, 1, 2]), 2);
  t.equal(median([4, 1, 2, 3]), 2.5);
  t.equal(quantile([0, 10], 0.9), 9);
  t.throws(() => median([]), RangeError);
  t.equal(spearman([1, 2, 3, 4], [10, 20, 30, 25]), 0.8);
  t.equal(spearman([1, 1, 2], [5, 5, 9]), 1);
  fc.assert(
    fc.property(finite, fc.integer(), (values, seed) => {
      const s = summarise(values, Xoshiro128.fromSeed(seed), 100);
      const [low, high] = [Math.min(...values), Math.max(...values)];
      return (
        s.n === values.length &&
        s.min === low &&
        s.mad >= 0 &&
        low <= s.ciLow &&
        s.ciLow <= s.ciHigh &&
        s.ciHigh <= high &&
        s.min <= s.median &&
        s.median <= Math.max(s.p90, s.median)
      );
    }),
  );
  fc.assert(
    fc.property(finite, fc.integer(), (values, seed) => {
      const [a, b] = [values, [...values].reverse()].map((list) =>
        bootstrapMedianInterval(list, Xoshiro128.fromSeed(seed), 50),
      );
      return a?.[0] === b?.[0] && a?.[1] === b?.[1];
    }),
  );
});

t.test('the bootstrap interval covers the true median about 95 times in 100', async (t) => {
  const rng = Xoshiro128.fromSeed(5);
  let covered = 0;
  for (let i = 0; i < 300; i++) {
    const [low, high] = bootstrapMedianInterval(
      Array.from({ length: 31 }, () => Math.exp(gaussian(rng))),
      rng,
      300,
    );
    if (low <= 1 && 1 <= high) covered++;
  }
  t.ok(covered >= 270 && covered <= 297, `${covered} of 300`);
});

/** A noisy machine on a manual clock: slow regimes that last longer than a round, and 1.5 % noise on each run. */
function machine(
  clock: ManualClock,
  seed: number,
  candidateUs: number,
  disturb = (_leg: number, us: number): number => us,
): RoundRunner {
  const rng = Xoshiro128.fromSeed(seed);
  let leg = 0;
  let regime = 1;
  return {
    async time(legs) {
      if (rng.next() < 0.05) regime = regime === 1 ? 1.8 : 1;
      const samplesUs: Float64Array[] = [];
      for (const { network, runs } of legs) {
        const baseUs = disturb(leg++, network === 'candidate' ? candidateUs : 500) * regime;
        samplesUs.push(Float64Array.from({ length: runs }, () => baseUs * Math.exp(0.015 * gaussian(rng))));
      }
      await clock.advance(samplesUs.reduce((sum, leg) => sum + leg.reduce((a, b) => a + b, 0), 0) / 1000);
      return { samplesUs, lostShare: null };
    },
  };
}

t.test('the loop finds the ratio through changes of regime, and stops by its rule', async (t) => {
  const protocol = loadProtocol('search');
  for (let seed = 0; seed < 8; seed++) {
    const clock = new ManualClock();
    const run = await measureLatency(machine(clock, seed, 1500), protocol, {
      clock,
      rng: Xoshiro128.fromSeed(seed),
      signal,
    });
    t.ok(Math.abs(run.ratio.median / 3 - 1) < 0.02, `ratio ${run.ratio.median}`);
    t.equal(run.stoppedBy, 'interval');
    t.equal(judge({ run, protocol, macs: 1e6, calibratedUs: 500 }).verdict, 'valid');
  }
});

t.test('runs that find the caches of another network do not count', async (t) => {
  // Shares of the first runs of a transformer of 1.3 ms, as measured.
  const cold = [0.3, 0.12, 0.07, 0.03, 0.03, 0.02];
  for (const [name, candidateUs] of [
    ['quick', 1331],
    ['search', 1331],
    ['search', 400],
    ['search', 6000],
    ['careful', 1331],
  ] as const) {
    const clock = new ManualClock();
    let most = 0;
    const runner: RoundRunner = {
      holdsBoth: true,
      async time(legs) {
        const samplesUs = legs.map(({ network, runs }) => {
          const us = network === 'candidate' ? candidateUs : 500;
          if (network === 'candidate') most = Math.max(most, runs);
          // A larger network fetches as much data in fewer runs.
          const every = Math.max(1, Math.round(us / 1331));
          return Float64Array.from({ length: runs }, (_, k) => us * (1 + (cold[k * every] ?? 0)));
        });
        await clock.advance(samplesUs.reduce((sum, leg) => sum + leg.reduce((a, b) => a + b, 0), 0) / 1000);
        return { samplesUs, lostShare: null };
      },
    };
    const protocol = loadProtocol(name);
    const run = await measureLatency(runner, protocol, { clock, rng: Xoshiro128.fromSeed(1), signal });
    const over = run.rawUs.median / candidateUs - 1;
    t.ok(over < 0.01, `${name}, ${candidateUs} us: ${over}`);
    t.ok(most <= Math.max(16, Math.ceil(5000 / candidateUs) + 6), `${most} runs a leg`);
  }
  // One inference takes more than a round's share of the budget.
  const clock = new ManualClock();
  const slow: RoundRunner = {
    holdsBoth: true,
    async time(legs) {
      const samplesUs = legs.map(({ network, runs }) =>
        new Float64Array(runs).fill(network === 'candidate' ? 400_000 : 500),
      );
      await clock.advance(samplesUs.reduce((sum, leg) => sum + leg.reduce((a, b) => a + b, 0), 0) / 1000);
      return { samplesUs, lostShare: null };
    },
  };
  const quick = loadProtocol('quick');
  const options = { clock, rng: Xoshiro128.fromSeed(1), signal, expectedUs: 400_000 };
  t.equal((await measureLatency(slow, quick, options)).rawUs.median, 400_000, 'one run a leg counts');
});

t.test('budget, rejection, verdicts', async (t) => {
  const protocol = loadProtocol('quick');
  const take = async (runner: (clock: ManualClock) => RoundRunner, changes = {}) => {
    const clock = new ManualClock();
    const used = { ...protocol, ...changes };
    const run = await measureLatency(runner(clock), used, { clock, rng: Xoshiro128.fromSeed(1), signal });
    return { run, protocol: used, macs: 1e6, calibratedUs: 500 };
  };
  const strict = { ciHalfWidth: 1e-6, maxRounds: 10_000 };
  const budget = await take((clock) => machine(clock, 1, 1500), strict);
  t.equal(budget.run.stoppedBy, 'budget');
  t.equal(
    judge({ ...budget, protocol: { ...budget.protocol, ciHalfWidth: 1e-3 } }).verdict === 'valid',
    false,
  );

  const spikes = await take((clock) => machine(clock, 2, 1500, (leg, us) => (leg % 3 === 0 ? us * 2 : us)));
  t.equal(judge(spikes).verdict, 'contended');
  t.equal(spikes.run.rounds.filter((round) => round.kept).length, spikes.run.kept);

  const lost = await take((clock) => {
    const inner = machine(clock, 3, 1500);
    return { time: async (legs, o) => ({ ...(await inner.time(legs, o)), lostShare: 0.5 }) };
  });
  t.equal(lost.run.kept, 0);
  t.equal(judge(lost).verdict, 'contended');

  const steady = await take((clock) => machine(clock, 4, 1500));
  t.equal(judge({ ...steady, macs: 1e12 }).verdict, 'suspect');
  t.equal(judge({ ...steady, calibratedUs: 100 }).verdict, 'throttled');

  const slow = await take((clock) => machine(clock, 5, 400_000), { maxMs: 1000 });
  t.ok(slow.run.rounds.length >= 3, 'even a slow network gets three rounds');

  const aborted = AbortSignal.abort();
  const clock = new ManualClock();
  await t.rejects(
    measureLatency(machine(clock, 6, 1500), protocol, {
      clock,
      rng: Xoshiro128.fromSeed(1),
      signal: aborted,
    }),
    {
      code: 'INTERRUPTED',
    },
  );
});

t.test('protocols are data', async (t) => {
  t.same(protocolNames(), ['careful', 'quick', 'search']);
  for (const name of protocolNames()) t.equal(loadProtocol(name).name, name);
  t.throws(() => loadProtocol('../quick'), { code: 'PROTOCOL_UNKNOWN' });
  const folder = t.testdir({ 'bad.json': '{"name":"bad"}', 'worse.json': '{' });
  for (const name of ['bad', 'worse']) t.throws(() => loadProtocol(name, folder), { code: 'SPEC_INVALID' });
});

t.test('the references never change', async (t) => {
  const { convolution, transformer } = referenceNetworks();
  t.equal(referenceFor(convolution), 'convolution');
  t.equal(referenceFor(transformer), 'transformer');
  t.same(
    [convolution, transformer].map(contentHash),
    referenceHashes,
    'a changed reference voids every stored calibration',
  );
});

/** Operators, attributes and every constant: what runs; the canonical text may differ. */
function contentHash({ nodes, initializers }: Graph): string {
  const operators = nodes.map(({ op, attributes }) => [op, attributes]);
  const constants = [...initializers.values()].map(({ dims, data }) => [dims, sha256Hex(data)]);
  return sha256Hex(JSON.stringify([operators, constants]));
}

const referenceHashes: string[] = [
  '83b4eed278c3ca89e06b1035c2f0bff0812ee785bcdf5c94d79497da0ef13fdf',
  'dc078c7151c6f4d01a573b1410691909d458e845139832b294d093f7bc0e8b06',
];

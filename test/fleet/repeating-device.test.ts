import t, { type Test } from 'tap';
import { ManualClock } from '../../daemon/core/clock.js';
import { HildaError } from '../../daemon/core/errors.js';
import type { Measurement, Verdict } from '../../daemon/core/measurement.js';
import { gaussian, Xoshiro128 } from '../../daemon/core/rng.js';
import type { Device } from '../../daemon/devices/contract.js';
import { repeatabilityOf, storeLedger } from '../../daemon/fleet/repeatability-ledger.js';
import { RepeatingDevice } from '../../daemon/fleet/repeating-device.js';
import { networkFacts } from '../../daemon/measure/network-facts.js';
import type { Protocol } from '../../daemon/measure/protocol.js';
import { loadProtocol } from '../../daemon/measure/protocols.js';
import { probeNetworks, referenceNetworks } from '../../daemon/measure/references.js';
import type { Graph } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';
import { openStore } from '../../daemon/store/open-store.js';
import { deviceId, measurement, target } from '../contract/store-contract.js';

const { signal } = new AbortController();
const sessionMs = 900;

/** Times of any network with 1 % between sessions; verdicts and units as told. */
class Sessions implements Device {
  readonly limits = { memoryBytes: null, weightBytes: null };
  readonly asked: Protocol[] = [];
  verdicts: Verdict[] = [];
  unit = 1;
  provenance: Measurement['provenance'] = 'measured';
  probeFails = false;
  probes = 0;
  /** How much slower the references run in each session; 1 where it is left out. */
  slowdowns: number[] = [];
  readonly #rng = Xoshiro128.fromSeed(4);
  constructor(readonly target: Device['target']) {}

  async profile(): Promise<[]> {
    return [];
  }

  async measure(network: Graph, protocol: Protocol): Promise<Measurement> {
    if (this.probeFails && network.name?.endsWith('probe'))
      throw new HildaError('DEVICE_FAILED', 'the probe crashed');
    this.asked.push(protocol);
    if (network.name?.endsWith('probe')) this.probes++;
    const us = 1000 * Math.exp(0.01 * gaussian(this.#rng));
    const level = 500 * (this.slowdowns.shift() ?? 1);
    const { structureHash, weightsHash } = networkFacts(network);
    const { latency } = measurement;
    if (!latency) throw new Error('the sample has a latency');
    return {
      ...measurement,
      target: this.target,
      provenance: this.provenance,
      protocol: protocol.name,
      durationMs: sessionMs,
      structureHash,
      weightsHash,
      latency: {
        ...latency,
        spread: null,
        normalisedUs: us,
        normalisedCiUs: [us * 0.998, us * 1.002],
        convolutionWeight: 1,
      },
      rounds: [{ referenceBeforeUs: level, candidateUs: us, referenceAfterUs: level, kept: true }],
      verdict: this.verdicts.shift() ?? 'valid',
      manifest: { calibration: { takenAtMs: this.unit } },
    };
  }

  async close(): Promise<void> {}
}

function network(name: string): Graph {
  const builder = new GraphBuilder({ name });
  builder.output(builder.relu(builder.input(name, 'float32', [1, name.length])));
  return builder.build();
}

/** Every sleep ends at once; their sum is kept. */
class SkippingClock extends ManualClock {
  sleptMs = 0;
  override async sleep(ms: number): Promise<void> {
    this.sleptMs += ms;
  }
}

async function bench(t: Test) {
  const clock = new SkippingClock();
  const store = await openStore({ dataDir: ':memory:', clock });
  t.teardown(() => store.close());
  await store.upsertDevice({ id: deviceId, kind: 'fake', label: 'x', target });
  const inner = new Sessions(target);
  const troubles: string[] = [];
  const device = new RepeatingDevice(inner, {
    ledger: storeLedger(store, deviceId, target),
    clock,
    onTrouble: ({ code }) => troubles.push(code),
  });
  const take = async (graph: Graph, protocol = 'search'): Promise<Measurement> => {
    const lease = await store.acquireLease(deviceId, 'test', 60_000);
    if (!lease) throw new Error('no lease');
    const taken = await device.measure(graph, loadProtocol(protocol), { signal });
    await store.addMeasurement(taken, { deviceId, lease });
    await store.releaseLease(lease);
    return taken;
  };
  return {
    clock,
    store,
    inner,
    device,
    take,
    troubles,
    known: () => repeatabilityOf(store, deviceId, target),
  };
}

t.test('one session is widened by what the target is known for; repeats teach it', async (t) => {
  const { inner, take, known, device } = await bench(t);
  t.equal((device as Device).profile === undefined, false, 'abilities pass through');
  t.equal((device as Device).classify, undefined);
  const first = await take(network('a'));
  t.match(first.latency?.spread, { sessions: 1, repeats: 0 });
  t.ok((first.latency?.normalisedCiUs[0] ?? 0) < 0.98 * (first.latency?.normalisedUs ?? 0));
  t.equal(await known(), null);
  for (let i = 0; i < 80; i++) await take(network('a'));
  const learnt = await known();
  t.ok((learnt?.freedom ?? 0) > 80, 'repeats of the network and of the probes');
  const again = await take(network('b'));
  const { between = 0, repeats = 0 } = again.latency?.spread ?? {};
  t.ok(between > 0.007 && between < 0.013, `${between} for 0.01`);
  t.ok(repeats > 80);
  t.match(again.reason, /spread between sessions limits it \([01]\.\d+ %\)/);
  t.notOk(
    inner.asked.some((protocol) => 'maxSessions' in protocol),
    'a device hears of rounds alone',
  );
});

t.test('what teaches nothing: another unit, a reference, an emulator, an invalid session', async (t) => {
  const { inner, take, known } = await bench(t);
  inner.probeFails = true;
  await take(network('a'));
  inner.unit = 2;
  await take(network('a'));
  t.equal(await known(), null, 'a calibration began a new unit');
  await take(referenceNetworks().convolution);
  inner.verdicts = ['noisy'];
  const noisy = await take(network('a'));
  t.equal(noisy.verdict, 'noisy');
  t.equal(noisy.latency?.spread ?? null, null);
  inner.provenance = 'emulated';
  const emulated = await take(network('a'));
  t.equal(emulated.latency?.spread ?? null, null, 'identical run after run');
  t.equal(await known(), null);
});

t.test('a disturbed session is taken again, unless the machine stays like that', async (t) => {
  const { clock, inner, take } = await bench(t);
  inner.probeFails = true;
  for (let i = 0; i < 30; i++) await take(network('a'));
  t.equal(clock.sleptMs, 0);
  inner.slowdowns = [1.3, 1.3, 1];
  const again = await take(network('b'));
  t.equal(inner.asked.length, 33);
  t.ok((again.latency?.spread?.regime ?? 1) < 0.005, 'the calm one counts');
  t.equal((again.manifest.sessions as unknown[]).length, 3, 'the others are told');
  t.equal(again.latency?.spread?.sessions, 1);
  t.ok(clock.sleptMs > 0, 'the machine is given time');
  inner.slowdowns = Array(100).fill(1.3);
  const wide = await take(network('c'));
  t.equal(wide.verdict, 'valid');
  t.ok((wide.latency?.spread?.regime ?? 0) > 0.05);
  t.match(wide.reason, /not in its undisturbed state/);
  for (let i = 0; i < 4; i++) await take(network('c'));
  const before = inner.asked.length;
  await take(network('d'));
  t.equal(inner.asked.length, before + 1, 'a machine that stays disturbed is measured as it is');
});

t.test(
  'one budget bounds what retakes, waits and probes cost; what it does not reach is told as it is',
  async (t) => {
    const { clock, inner, take } = await bench(t);
    const taken: Measurement[] = [];
    for (let i = 0; i < 120; i++) {
      // Every second measurement begins disturbed.
      inner.slowdowns = i % 2 === 1 ? [1.3] : [];
      taken.push(await take(network('x'.repeat(i + 1))));
      const extraMs = (inner.asked.length - taken.length) * sessionMs + clock.sleptMs;
      t.ok(extraMs <= (0.15 * taken.length + 2) * sessionMs, `${extraMs} ms after ${taken.length}`);
    }
    t.ok(inner.asked.length >= 132, `${inner.asked.length} sessions: the budget is used`);
    t.ok(inner.probes >= 8, `${inner.probes} probes beside the retakes`);
    const told = (one: Measurement) => ((one.manifest.sessions as unknown[] | undefined)?.length ?? 1) > 1;
    const disturbed = taken.filter((_, i) => i % 2 === 1);
    t.ok(disturbed.some(told), 'some are taken again');
    for (const one of disturbed) {
      const regime = one.latency?.spread?.regime ?? 0;
      t.ok(told(one) ? regime < 0.005 : regime > 0.05, `taken again or widened: ${regime}`);
      if (told(one)) continue;
      t.match(one.reason, /not in its undisturbed state/);
      const [low, high] = one.latency?.normalisedCiUs ?? [0, 0];
      t.ok(Math.log(high / low) / 2 > 1.96 * 0.05, 'the interval holds the disturbance');
    }
    inner.slowdowns = [];
    const before = inner.asked.length;
    inner.slowdowns = [1, 1.3];
    const careful = await take(network('careful'), 'careful');
    const sessions = careful.latency?.spread?.sessions ?? 0;
    t.ok(inner.asked.length - before > sessions, 'careful takes its disturbed sessions again');
  },
);

t.test('careful: several sessions, the invalid ones told and not used', async (t) => {
  const { inner, take, troubles } = await bench(t);
  inner.verdicts = ['valid', 'contended'];
  const taken = await take(network('a'), 'careful');
  const { sessions = 0 } = taken.latency?.spread ?? {};
  t.ok(sessions >= 3, `${sessions} sessions`);
  t.equal(taken.verdict, 'valid');
  t.equal(inner.asked.length, sessions + 1);
  const told = taken.manifest.sessions as { verdict: string; normalisedUs: number }[];
  t.same(
    told.map(({ verdict }) => verdict),
    ['valid', 'contended', ...Array(sessions - 1).fill('valid')],
  );
  const used = told.filter(({ verdict }) => verdict === 'valid').map((one) => Math.log(one.normalisedUs));
  t.ok(
    Math.abs(Math.log(taken.latency?.normalisedUs ?? 0) - used.reduce((a, b) => a + b, 0) / used.length) <
      1e-9,
    'the geometric mean of the valid ones',
  );
  inner.verdicts = Array(40).fill('contended');
  const never = await take(network('c'), 'careful');
  t.equal(never.verdict, 'contended');
  t.match(never.reason, /^Only 0 of \d+ sessions are valid, 3 are needed/);
  inner.verdicts = [];
  inner.probeFails = true;
  for (let i = 0; i < 4; i++) t.equal((await take(network('d'))).verdict, 'valid');
  t.ok(
    troubles.length > 0 && troubles.every((code) => code === 'DEVICE_FAILED'),
    'a probe that fails voids nothing',
  );
  t.not(networkFacts(probeNetworks().convolution).structureHash, networkFacts(network('d')).structureHash);
});

t.test('a new target is probed eight times, later once in 32, and not early once it is known', async (t) => {
  const { clock, store, inner, take } = await bench(t);
  const distinct = (from: number, n: number) =>
    Array.from({ length: n }, (_, i) => network('x'.repeat(from + i)));
  const counts: number[] = [];
  for (const one of distinct(1, 31)) {
    await take(one);
    counts.push(inner.probes);
  }
  t.equal(counts[0], 0);
  t.ok(counts[1], 'the first one follows the second measurement');
  t.ok(inner.probes <= 0.15 * 31 + 1, `${inner.probes} probes of 31`);
  for (const one of distinct(32, 33)) await take(one);
  t.ok(
    inner.probes >= 8 && inner.probes <= 10,
    `${inner.probes}: early ones as the budget allows, one in 32`,
  );
  const ledger = storeLedger(store, deviceId, target);
  const known = (await ledger.read()).repeatability?.freedom ?? 0;
  t.ok(known >= 6, `${known} repeats`);
  const before = inner.probes;
  const opened = new RepeatingDevice(inner, { ledger, clock });
  for (const one of distinct(100, 31)) await opened.measure(one, loadProtocol('search'), { signal });
  t.equal(inner.probes, before, 'the target is known since before');
  for (const one of distinct(200, 65)) await opened.measure(one, loadProtocol('search'), { signal });
  t.equal(inner.probes, before + 3);
  t.same(
    Object.values((await ledger.read()).probes).map((all) => all.length > 1),
    [true, true],
    'each in turn',
  );
});

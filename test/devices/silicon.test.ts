import t from 'tap';
import { systemClock } from '../../daemon/core/clock.js';
import type { HildaError } from '../../daemon/core/errors.js';
import type { Measurement } from '../../daemon/core/measurement.js';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import type { Device, Sighting } from '../../daemon/devices/contract.js';
import { systemTools } from '../../daemon/devices/mcu/flash-tools.js';
import { SerialDriver } from '../../daemon/devices/mcu/serial-driver.js';
import { trendOf } from '../../daemon/devices/mcu/silicon-trend.js';
import type { Protocol } from '../../daemon/measure/protocol.js';
import { loadProtocol } from '../../daemon/measure/protocols.js';
import { contractProtocol, doublingNetwork } from '../contract/device-contract.js';
import { ScriptedBoard, type ScriptedBoardOptions } from '../link/scripted-board.js';

t.setTimeout(300_000);
const { signal } = new AbortController();
const port = { path: '/dev/ttyACM0', vendorId: '0483', productId: '374b', serialNumber: '066CFF' };

async function openScripted(
  options: ScriptedBoardOptions,
): Promise<{ device: Device; board: ScriptedBoard }> {
  const board = new ScriptedBoard(options);
  const driver = new SerialDriver({
    listPorts: async () => [port],
    openPort: async () => board.line(),
    pingMs: 600_000,
  });
  const [sighting] = await sightings(driver);
  if (!sighting) throw new Error('no board was seen');
  return { device: await driver.open(sighting, { signal }), board };
}

async function sightings(driver: SerialDriver): Promise<Sighting[]> {
  const list: Sighting[] = [];
  for await (const sighting of driver.discover({ signal })) list.push(sighting);
  return list;
}

const known = { convolutionUs: 1000, transformerUs: 2000, takenAtMs: 1 };

async function measured(
  options: ScriptedBoardOptions,
  protocol: string | Protocol = 'search',
): Promise<Measurement> {
  const { device } = await openScripted(options);
  try {
    await device.calibrate?.({ signal, known });
    const wanted = typeof protocol === 'string' ? loadProtocol(protocol) : protocol;
    return await device.measure(doublingNetwork(), wanted, { signal });
  } finally {
    await device.close();
  }
}

/** Normal deviates (Box and Muller, 1958). */
function noise(seed: number): () => number {
  const rng = Xoshiro128.fromSeed(seed);
  return () => Math.sqrt(-2 * Math.log(1 - rng.next())) * Math.cos(2 * Math.PI * rng.next());
}

t.test(
  'a real board is valid with the jitter that boards have, and its interval says how much',
  async (t) => {
    const exact = await measured({});
    t.equal(exact.verdict, 'valid', exact.reason);
    t.equal(exact.provenance, 'measured');
    t.equal(exact.rounds.length, loadProtocol('search').minRounds, 'no more rounds than it takes');
    const { counts, latency } = exact;
    t.equal(latency!.rawUs.median, counts!.total / 120);
    t.ok(counts!.totalCi![0] < counts!.total && counts!.total < counts!.totalCi![1], 'never of width 0');
    t.equal(counts!.arenaPeakBytes, counts!.arenaPlannedBytes);
    t.equal(counts!.stackPeakBytes, 800);

    const rng = Xoshiro128.fromSeed(3);
    const oneCycle = await measured({ ticks: ({ base }) => base + Math.floor(2 * rng.next()) });
    t.equal(oneCycle.verdict, 'valid', oneCycle.reason);
    t.equal(oneCycle.rounds.length, 15);

    const draw = noise(5);
    for (const protocol of ['quick', 'search', 'careful']) {
      const caches = await measured(
        { ticks: ({ base }) => Math.round(base * (1 + 0.005 * draw())) },
        protocol,
      );
      t.equal(caches.verdict, 'valid', `${protocol}: ${caches.reason}`);
      const [low, high] = caches.counts!.totalCi!;
      t.ok(low <= exact.counts!.total && exact.counts!.total <= high, `${low} to ${high}`);
      t.ok((high - low) / 2 / exact.counts!.total < 0.01);
      const { count, countCi } = caches.counts!.operators[0]!;
      t.ok(countCi![0] <= count && count <= countCi![1]);
      t.ok(countCi![1] - countCi![0] > 1, 'an interval for each operator');
    }

    const chance = Xoshiro128.fromSeed(9);
    const interrupts = await measured({
      ticks: ({ base }) => base + (chance.next() < 0.06 ? 300_000 : 0),
    });
    t.equal(interrupts.verdict, 'valid', interrupts.reason);
    t.ok(Math.abs(interrupts.counts!.total / exact.counts!.total - 1) < 0.001, 'outliers do not move it');
  },
);

t.test('the interval of a noisy board holds the true value as often as it says', async (t) => {
  const { device, board } = await openScripted({});
  t.teardown(() => device.close());
  await device.calibrate?.({ signal, known });
  const truth = (await device.measure(doublingNetwork(), loadProtocol('search'), { signal })).counts!.total;
  const draw = noise(11);
  Object.assign(board.options, {
    ticks: ({ base }: { base: number }) => Math.round(base * (1 + 0.03 * draw())),
  });
  let held = 0;
  const times = 60;
  let most = 0;
  for (let i = 0; i < times; i++) {
    const { counts, rounds } = await device.measure(doublingNetwork(), loadProtocol('search'), { signal });
    const [low, high] = counts!.totalCi!;
    if (low <= truth && truth <= high) held++;
    most = Math.max(most, rounds.length);
  }
  t.ok(most > 15, `up to ${most} rounds where the least are too few`);
  t.ok(held / times >= 0.87, `${held} of ${times}`);
});

t.test('the interval holds what the clock of the board may be off by', async (t) => {
  const span = ({ latency }: Measurement): [number, number] => {
    const { normalisedUs = 1, normalisedCiUs: [low, high] = [0, 0] } = latency ?? {};
    return [1 - low / normalisedUs, high / normalisedUs - 1].map((share) => Math.round(share * 1e6)) as [
      number,
      number,
    ];
  };
  // Each run takes the same cycles: nothing but the clock is uncertain.
  for (const [clockPpm, off] of [
    [0, 0],
    [2500, 2500],
    [null, 10_000],
  ] as const) {
    const taken = await measured({ clockPpm });
    t.equal(taken.verdict, 'valid', taken.reason);
    t.same(span(taken), [off, off], `${clockPpm}`);
  }
  const free = await measured({ clockPpm: 45_000 });
  t.match(free, { verdict: 'noisy', reason: /clock may be off by 4\.5/, manifest: { clockPpm: 45_000 } });
  const exact = { ...loadProtocol('search'), ciHalfWidth: 0.005 };
  const untold = await measured({ clockPpm: null }, exact);
  t.match(untold, { verdict: 'noisy', reason: /clock may be off by 1\.00 %.*firmware does not say/ });
});

t.test('a board that gets slower while it is measured is throttled, faster: drifted', async (t) => {
  for (const protocol of ['quick', 'search', 'careful']) {
    const { minRounds } = loadProtocol(protocol);
    const draw = noise(2);
    const slowing = (share: number) =>
      measured(
        {
          ticks: ({ base, run }) =>
            Math.round(base * (1 + share * Math.min(1, run / (minRounds + 8)) + 0.0002 * draw())),
        },
        protocol,
      );
    const slower = await slowing(0.04);
    t.equal(slower.verdict, 'throttled', `${protocol}: ${slower.reason}`);
    t.match(slower.reason, /% longer than .* \(allowed 1.00 %\)/);
    t.equal((await slowing(-0.04)).verdict, 'drifted');
    const hardly = await slowing(0.004);
    t.equal(hardly.verdict, 'valid', hardly.reason);
    const [low, high] = hardly.counts!.totalCi!;
    const start = hardly.counts!.operators.length * 2_000_000;
    t.ok((high - low) / start > 0.001, 'what it moved within the rounds is in the interval');
  }
  const { minRounds } = loadProtocol('search');
  const atOnce = await measured({ ticks: ({ base, run }) => (run > minRounds ? 1.04 : 1) * base });
  t.equal(atOnce.verdict, 'throttled', atOnce.reason);
  const flat = trendOf(Array.from({ length: 15 }, () => 5));
  t.same([flat.moved, flat.z], [0, 0]);
  t.ok(Math.abs(trendOf([1, 1, 1, 9, 1, 1, 1, 1]).z) < 1, 'one outlier is no trend');
});

t.test('figures that cannot be are suspect, and kept', async (t) => {
  const cases: readonly [string, ScriptedBoardOptions, RegExp][] = [
    ['two outputs', { outputCrc: (run) => (run === 20 ? 1 : 2) }, /two outputs/],
    ['arena', { arenaPeak: (planned, run) => planned + (run % 2) }, /arena was used up to byte/],
    ['no time', { ticks: ({ base, operator }) => (operator === 0 ? 0 : base) }, /operator 0 took 0 ticks/],
    ['too fast', { ticks: () => 3 }, /faster than its core can be/],
    ['counter full', { ticks: () => 2 ** 32 - 1 }, /more ticks than its counter/],
    ['counter jumped in one run', { total: (sum, run) => sum + (run === 15 ? 1e9 : 0) }, /add up to/],
    ['wrapped', { total: (sum) => sum + 2 ** 32 }, /add up to/],
  ];
  for (const [name, options, reason] of cases) {
    const found = await measured(options);
    t.equal(found.verdict, 'suspect', `${name}: ${found.reason}`);
    t.match(found.reason, reason, name);
    t.equal(found.rounds.length, 15, 'the rounds are kept');
  }
  const fewer = { ...contractProtocol, minRounds: 20, maxRounds: 30, maxMs: 10 };
  const { device } = await openScripted({});
  t.teardown(() => device.close());
  await device.calibrate?.({ signal, known });
  const over = await device.measure(doublingNetwork(), fewer, { signal });
  t.equal(over.rounds.length, 20, 'the least number of rounds is taken beyond any budget');
});

t.test('a reference that fails: before the rounds an error, behind them a mark', async (t) => {
  const known = { convolutionUs: 1000, transformerUs: 2000, takenAtMs: 1 };
  let from = 0;
  const { device, board } = await openScripted({
    refuseRun: (run, operators) => (operators > 5 && run >= from ? 18 : 0),
  });
  t.teardown(() => device.close());
  await t.rejects(device.calibrate!({ signal }), { code: 'NETWORK_REJECTED' });
  await device.calibrate!({ signal, known });
  await t.rejects(device.measure(doublingNetwork(), contractProtocol, { signal }), {
    code: 'NETWORK_REJECTED',
  });
  from = board.runs + 6;
  const marked = await device.measure(doublingNetwork(), contractProtocol, { signal });
  t.equal(marked.verdict, 'suspect', marked.reason);
  t.match(marked.reason, /reference failed after 3 rounds/);
  t.equal(marked.rounds.length, 3);
  from = Number.POSITIVE_INFINITY;
  const after: Measurement | HildaError = await device.measure(doublingNetwork(), contractProtocol, {
    signal,
  });
  t.equal(after.verdict, 'valid', after.reason);
});

t.test('a profile and a calibration are medians of several runs', async (t) => {
  const { device } = await openScripted({
    ticks: ({ base, run }) => base + (run % 5 === 0 ? 500_000 : run % 2),
  });
  t.teardown(() => device.close());
  const costs = await device.profile!(doublingNetwork(), { signal });
  for (const [i, { medianUs, count }] of costs.entries()) {
    t.ok(Math.abs(count!.value - (2_000_000 + 1000 * i)) <= 1);
    t.ok(Math.abs(medianUs! - count!.value / 120) < 0.02);
    t.equal(count!.provenance, 'measured');
  }
  const taken = await device.calibrate!({ signal });
  const { device: still } = await openScripted({});
  t.teardown(() => still.close());
  const again = await still.calibrate!({ signal });
  t.ok(Math.abs(taken.convolutionUs / again.convolutionUs - 1) < 1e-5);
  t.ok(systemClock.nowMs() >= taken.takenAtMs);
});

t.test('a board that hangs is reset by its probe, and goes on', async (t) => {
  const calls: string[] = [];
  let hangs = false;
  const board = new ScriptedBoard({ toHost: () => !hangs });
  const troubles: string[] = [];
  const driver = new SerialDriver({
    listPorts: async () => [port],
    openPort: async () => board.line(),
    pingMs: 50,
    onTrouble: ({ message }) => troubles.push(message),
    tools: {
      ...systemTools,
      which: (program) => (program === 'openocd' ? '/usr/bin/openocd' : null),
      run: async (program, args) => {
        calls.push([program, ...args].join(' '));
        hangs = false;
        board.reset(1);
      },
    },
  });
  const [seen] = await sightings(driver);
  const device = await driver.open(seen!, { signal });
  t.teardown(() => device.close());
  await device.calibrate?.({ signal, known });
  hangs = true;
  const hung = await device.measure(doublingNetwork(), contractProtocol, { signal }).catch((e) => e);
  t.equal(hung.code, 'DEVICE_FAILED', 'what was under way fails');
  const after = await device.measure(doublingNetwork(), contractProtocol, { signal });
  t.equal(after.verdict, 'valid', after.reason);
  t.match(calls, [
    /^openocd -f interface\/stlink.cfg -c adapter serial 066CFF .*-f target\/stm32l4x.cfg -c init -c reset run -c shutdown$/,
  ]);
  t.match(troubles[0] ?? 'the job noticed it first', /restarted|first/);
});

t.test('another board behind the same adapter is refused by name, and is a device of its own', async (t) => {
  let board = new ScriptedBoard({});
  const driver = new SerialDriver({
    listPorts: async () => [port],
    openPort: async () => board.line(),
    pingMs: 600_000,
  });
  const [seen] = await sightings(driver);
  const device = await driver.open(seen!, { signal });
  t.teardown(() => device.close());
  await device.calibrate?.({ signal, known });
  const before = board;
  board = new ScriptedBoard({ chipId: 'ab'.repeat(16) });
  before.unplug();
  await t.rejects(device.measure(doublingNetwork(), contractProtocol, { signal }), {
    code: 'DEVICE_GONE',
    message: /another board answers at .*chip id (ab)+, where there was nucleo-l4r5zi of chip id 0123/,
  });
  const [other] = await sightings(driver);
  t.not(other?.id, seen?.id);
  const second = await driver.open(other!, { signal });
  t.teardown(() => second.close());
  await second.calibrate?.({ signal, known });
  t.equal((await second.measure(doublingNetwork(), contractProtocol, { signal })).verdict, 'valid');
});

import t from 'tap';
import { systemClock } from '../../daemon/core/clock.js';
import type { DeviceId } from '../../daemon/core/ids.js';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { SimulatedClock } from '../../daemon/core/simulated-clock.js';
import type { Device, Driver, Sighting } from '../../daemon/devices/contract.js';
import {
  ScriptedMlperfBoard,
  type ScriptedMlperfOptions,
} from '../../daemon/devices/mcu/line-faults/scripted-mlperf-board.js';
import { AnswerReader, readInfer } from '../../daemon/devices/mcu/mlperf-tiny/answers.js';
import { MlperfTinyDriver } from '../../daemon/devices/mcu/mlperf-tiny/driver.js';
import { movement } from '../../daemon/devices/mcu/mlperf-tiny/judge.js';
import type { PortFacts } from '../../daemon/devices/mcu/port-identity.js';
import { PortTurns } from '../../daemon/devices/mcu/port-turns.js';
import { SerialDriver } from '../../daemon/devices/mcu/serial-driver.js';
import { DevicePool } from '../../daemon/fleet/device-pool.js';
import { loadProtocol } from '../../daemon/measure/protocols.js';
import { openStore } from '../../daemon/store/open-store.js';
import type { Transport } from '../../firmware-bridge/link/index.js';
import { contractProtocol, doublingNetwork } from '../contract/device-contract.js';

t.setTimeout(300_000);
const { signal } = new AbortController();
const port: PortFacts = { path: '/dev/ttyACM3', vendorId: '0483', productId: '374b', serialNumber: 'AA' };

async function sightings(driver: Driver): Promise<Sighting[]> {
  const list: Sighting[] = [];
  for await (const sighting of driver.discover({ signal })) list.push(sighting);
  return list;
}

/** A scripted board on a simulated clock, and the shipped driver that finds it. */
function scripted(how: Partial<ScriptedMlperfOptions> = {}, seed = 1) {
  const clock = new SimulatedClock();
  const board = new ScriptedMlperfBoard({ clock, rng: Xoshiro128.fromSeed(seed), us: 4000, ...how });
  const asked: number[] = [];
  const openPort = async (): Promise<Transport> => {
    asked.push(clock.nowMs());
    return board.open();
  };
  const driver = new MlperfTinyDriver({ clock, listPorts: async () => [port], openPort });
  return { clock, board, driver, asked };
}

async function opened(driver: Driver, clock: SimulatedClock): Promise<Device> {
  for (;;) {
    const [seen] = await sightings(driver);
    if (seen && seen.obstacle === null) return driver.open(seen, { signal });
    if (clock.nowMs() > 60_000) throw new Error('no board was found');
    await clock.sleep(2000);
  }
}

async function measured(how: Partial<ScriptedMlperfOptions>, protocol = contractProtocol, seed = 1) {
  const { driver, clock } = scripted(how, seed);
  const device = await opened(driver, clock);
  try {
    return await device.measure(doublingNetwork(3, 32), protocol, { signal });
  } finally {
    await device.close();
  }
}

t.test('any such firmware is measured, from every vendor', async (t) => {
  const { driver, clock } = scripted({ name: 'acme board' });
  const [seen] = await sightings(driver);
  t.match(seen, {
    label: 'acme board (MLPerf Tiny, ic01)',
    target: { runtime: 'mlperf-tiny', runtimeVersion: 'ic01' },
    obstacle: null,
  });
  const device = await opened(driver, clock);
  const measurement = await device.measure(doublingNetwork(3, 32), contractProtocol, { signal });
  t.match(measurement, { verdict: 'valid', provenance: 'measured', latency: { reference: 'none' } });
  t.equal(measurement.latency?.normalisedUs, 4000, 'over the wrap of its clock');
  const [low, high] = measurement.latency?.normalisedCiUs ?? [0, 0];
  t.ok(low < 4000 && 4000 < high, 'equal rounds are known to the microsecond of the clock, no better');
  const aborted = new AbortController();
  aborted.abort();
  await t.rejects(device.measure(doublingNetwork(), contractProtocol, { signal: aborted.signal }), {
    code: 'INTERRUPTED',
  });
  const before = clock.nowMs();
  const soon = new AbortController();
  void clock.sleep(1500).then(() => soon.abort());
  await t.rejects(device.measure(doublingNetwork(), loadProtocol('careful'), { signal: soon.signal }), {
    code: 'INTERRUPTED',
  });
  t.ok(clock.nowMs() - before < 1600, 'at once');
  t.equal(
    (await device.measure(doublingNetwork(), contractProtocol, { signal })).latency?.normalisedUs,
    4000,
  );
  await device.close();
  await t.rejects(device.measure(doublingNetwork(), contractProtocol, { signal }), { code: 'DEVICE_FAILED' });
});

t.test('boards that echo, boot, restart and end lines in their own way', async (t) => {
  const ways: Record<string, Partial<ScriptedMlperfOptions>> = {
    echo: { echo: true },
    'line feed': { lineEnd: '\n' },
    'carriage return': { lineEnd: '\r' },
    'two carriage returns': { lineEnd: '\r\r\n' },
    'bare prompt': { promptBefore: '', promptAfter: '' },
    'boots for 2.5 s when opened': { resetsOnOpen: true, bootMs: 2500 },
    'boots for 8 s when opened': { resetsOnOpen: true, bootMs: 8000 },
    'boots without a word': { resetsOnOpen: true, bootMs: 2500, bootText: [] },
    'answers early questions after its boot': { resetsOnOpen: true, bootMs: 2500, keepsEarly: true },
    'logs lines': { chattyMs: 100 },
    'answers after 0.7 s': { replyMs: 700 },
  };
  for (const [name, how] of Object.entries(ways)) {
    const { verdict, reason, latency } = await measured(how);
    t.equal(verdict, 'valid', `${name}: ${reason}`);
    t.equal(latency?.normalisedUs, 4000, name);
  }
});

t.test('what cannot be valid is not, and says why', async (t) => {
  const careful = loadProtocol('careful');
  const slower = await measured({ us: 20_000, driftPerRun: 0.0001, jitter: 0.0002 }, careful);
  t.equal(slower.verdict, 'throttled', slower.reason);
  t.match(slower.reason, /slower from the first third of the rounds to the last/);
  for (const seed of [1, 2, 3]) {
    const steady = await measured({ us: 20_000, jitter: 0.002 }, careful, seed);
    t.equal(steady.verdict, 'valid', steady.reason);
  }
  t.match(await measured({ driftPerRun: -0.00005 }, careful), { verdict: 'drifted' });
  const throttles = await measured({ throttleAfterRuns: 300, throttleBy: 1.3 }, loadProtocol('quick'));
  t.match(throttles, { verdict: 'throttled' }, throttles.reason);
  t.match(await measured({ randomOutputs: true }), { verdict: 'suspect', reason: /outputs/ });
  await t.rejects(measured({ stampsPerUs: 0.001 }), {
    code: 'DEVICE_FAILED',
    message: /do not fit this host's clock/,
  });
  await t.rejects(measured({ energy: true }), { code: 'DEVICE_FAILED', message: /energy/ });
  // A second an inference: the least number of rounds is taken, long past the protocol's budget.
  const quick = loadProtocol('quick');
  const slow = await measured({ us: 1e6 }, quick);
  t.equal(slow.verdict, 'valid', slow.reason);
  t.equal(slow.latency?.rawUs.n, quick.minRounds);
});

t.test('an answer is taken for its own command, and only whole', async (t) => {
  const said = (text: string) => new AnswerReader().push(new TextEncoder().encode(text), 7);
  const whole = (runs: number, from = 100, to = 12_445): string =>
    `m-warmup-start-0\r\nm-warmup-done\r\nm-infer-start-${runs}\r\nm-lap-us-${from}\r\nm-lap-us-${to}\r\nm-infer-done\r\nm-results-[0.1,0.9]\r\nm-ready\r\n`;
  const read = (text: string, runs = 5) => said(text).map((answer) => readInfer(answer, runs));
  t.match(read(whole(5)), [{ lapUs: 12_345, heardUs: 7, results: '0.1,0.9' }]);
  t.match(read(whole(5, 2 ** 32 - 100, 12_245)), [{ lapUs: 12_345 }], 'over the wrap');
  t.match(read(`infer 5 0%${whole(5)}`), [{ lapUs: 12_345 }], 'behind an echo');
  t.same(
    read(`m-name-dut-[x]\r\nm-ready\r\n${whole(5)}`).slice(0, 1),
    ['other'],
    'an answer to another command',
  );
  t.same(read(whole(6)), ['damaged'], 'of another count');
  // Any one character that is lost, doubled or flipped is seen, or leaves the value as it was within 5 %, or off the host's clock.
  const text = whole(5);
  for (let at = 0; at < text.indexOf('m-results'); at++) {
    const [answer] = read(text.slice(0, at) + text.slice(at + 1));
    if (typeof answer !== 'object') continue;
    t.ok(
      answer.lapUs === 12_345 || /\d/.test(text[at] as string),
      `without character ${at}: ${answer.lapUs}`,
    );
  }
});

t.test('a trend is told from noise', async (t) => {
  const rng = Xoshiro128.fromSeed(4);
  const noise = (): number => rng.next() - 0.5;
  const series = (n: number, at: (i: number) => number) => Array.from({ length: n }, (_, i) => at(i));
  const flagged = series(500, () => movement(series(20, () => 100 + noise()))).filter((moved) => moved !== 0);
  t.ok(flagged.length <= 15, `${flagged.length} of 500 series without a trend`);
  t.ok(Math.abs(movement(series(20, (i) => 100 + 0.2 * i + noise())) - 0.028) < 0.006);
  t.equal(movement(series(8, () => 4000)), 0, 'equal values');
  t.ok(movement([100, 101, 100, 101, 100, 101, 150, 151]) > 0.4, 'a late step');
  t.equal(movement([1, 2, 3]), 0, 'too few');
});

t.test('a port on which nothing is recognised: shown with the reason, asked again and again', async (t) => {
  const { driver, clock, board, asked } = scripted({ bootMs: 1e9 });
  await board.reset();
  t.same(await sightings(driver), [], 'a board that was just plugged in may be booting');
  await clock.sleep(2000);
  const [stranger] = await sightings(driver);
  t.match(stranger, { kind: 'mlperf-tiny', obstacle: /no answer to "name".*asked again/s });
  await t.rejects(driver.open(stranger as Sighting, { signal }), { code: 'DEVICE_GONE' });
  const looks = new AbortController();
  let look: Promise<unknown> = Promise.resolve();
  const onChange = (): void => {
    look = look.then(() => sightings(driver));
  };
  const watching = driver.watch?.({ signal: looks.signal, onChange });
  await clock.sleep(300_000);
  const waits = asked.slice(1).map((at, i) => at - (asked[i] as number));
  t.ok(asked.length >= 5 && asked.length <= 10, `asked ${asked.length} times in five minutes`);
  t.ok(
    waits.slice(2).every((wait, i) => wait > (waits[i + 1] as number)),
    `more and more seldom: ${waits}`,
  );
  board.behaviour = { ...board.behaviour, bootMs: 0 };
  await board.reset();
  await clock.sleep(400_000);
  looks.abort();
  await watching?.catch(() => {});
  await look;
  t.match(await sightings(driver), [{ id: stranger?.id, obstacle: null }], 'found once it answers');
});

t.test('another board in its place is not taken for it', async (t) => {
  const { driver, clock, board } = scripted({ name: 'first' });
  const device = await opened(driver, clock);
  board.behaviour = { ...board.behaviour, name: 'second' };
  await t.rejects(device.measure(doublingNetwork(), contractProtocol, { signal }), { code: 'DEVICE_GONE' });
  await device.close();
  const [seen] = await sightings(driver);
  await t.rejects(driver.open(seen as Sighting, { signal }), {
    code: 'FIRMWARE_MISMATCH',
    message: /second/,
  });
  t.match(await sightings(driver), [{ target: { model: 'second' } }]);
});

t.test('boards come and go, beside a driver that asks the same ports', async (t) => {
  const stranger: PortFacts = { ...port, path: '/dev/ttyACM9', serialNumber: 'BB' };
  let ports: PortFacts[] = [];
  const opened: string[] = [];
  const open = new Set<string>();
  let lose: (reason: string) => void = () => {};
  const options = { clock: systemClock, us: 4000, name: 'acme board' };
  const board = new ScriptedMlperfBoard({ ...options, rng: Xoshiro128.fromSeed(1) });
  const openPort = async (who: string, path: string): Promise<Transport> => {
    if (open.has(path)) t.fail(`${who} opens ${path} beside another`);
    open.add(path);
    opened.push(`${who} ${path}`);
    const line = await board.open();
    const silent = path === stranger.path || who === 'hilda';
    return {
      ...line,
      ...(silent && { write: async () => {} }),
      onClose: (listener) => {
        if (!silent) lose = listener;
      },
      close: async () => {
        open.delete(path);
        await line.close();
      },
    };
  };
  const shared = { turns: new PortTurns(), listPorts: async () => ports, portsMs: 20 };
  const serial = new SerialDriver({ ...shared, openPort: ({ path }) => openPort('hilda', path) });
  const mlperf = new MlperfTinyDriver({ ...shared, openPort: (path) => openPort('mlperf', path) });
  const store = await openStore({ dataDir: ':memory:', clock: systemClock });
  const pool = new DevicePool({ store, drivers: [serial, mlperf], clock: systemClock });
  t.teardown(async () => {
    await pool.stop();
    await store.close();
  });
  await pool.start(signal);
  const present = async (is: boolean): Promise<DeviceId> => {
    for (let i = 0; i < 3000; i++) {
      const [device] = (await store.devices()).filter(({ id }) => pool.presence(id).present === is);
      if (device) return device.id;
      await systemClock.sleep(10);
    }
    throw new Error(`no board is ${is ? 'there' : 'gone'}`);
  };
  const measure = (id: DeviceId, call = signal) =>
    pool.use(id, { signal: call }, (device) =>
      device.measure(doublingNetwork(), contractProtocol, { signal: call }),
    );

  ports = [port];
  const id = await present(true);
  t.match(await store.device(id), { kind: 'mlperf-tiny', label: 'acme board (MLPerf Tiny, ic01)' });
  await pool.adopt(id);
  t.equal((await measure(id)).verdict, 'valid');

  // Both drivers look while it measures, and neither sees a board that cannot be opened.
  const before = opened.length;
  const measuring = measure(id);
  const lost = t.rejects(measuring, { code: 'DEVICE_GONE' });
  const seen = await pool.discover({ signal });
  t.same(
    seen.map((one) => [one.id, one.obstacle]),
    [[id, null]],
  );
  t.same(opened.slice(before), [], 'nobody asked it meanwhile: its firmware is known');
  ports = [];
  lose('the port closed');
  await lost;
  t.equal(await present(false), id);
  await t.rejects(measure(id), { code: 'DEVICE_GONE' });
  ports = [{ ...port, path: '/dev/ttyACM4' }];
  t.equal(await present(true), id, 'the same board in another place');
  t.equal((await measure(id)).verdict, 'valid');

  ports = [stranger, ...ports];
  await pool.discover({ signal });
  const asks = opened.filter((one) => one === `mlperf ${stranger.path}`).length;
  t.equal(asks, 1, 'a port that keeps silent is asked more seldom');
  t.equal((await store.devices()).length, 1, 'and is no board at the first question');
});

import t from 'tap';
import { systemClock } from '../../daemon/core/clock.js';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { SimulatedClock } from '../../daemon/core/simulated-clock.js';
import type { Driver } from '../../daemon/devices/contract.js';
import { damaged, split } from '../../daemon/devices/mcu/line-faults/byte-faults.js';
import { faultList } from '../../daemon/devices/mcu/line-faults/fault-list.js';
import type { LineFaults } from '../../daemon/devices/mcu/line-faults/faulty-line.js';
import { FaultyPort } from '../../daemon/devices/mcu/line-faults/faulty-port.js';
import {
  emulatedLine,
  type LineUnderTest,
  scriptedLine,
} from '../../daemon/devices/mcu/line-faults/lines-under-test.js';
import { runFaults } from '../../daemon/devices/mcu/line-faults/run-faults.js';
import { tally } from '../../daemon/devices/mcu/line-faults/test-line.js';
import { loadProtocol } from '../../daemon/measure/protocols.js';
import { findQemu } from '../../firmware-bridge/emulator/qemu-board.js';
import type { Transport } from '../../firmware-bridge/link/index.js';
import { runHere } from '../cli/run-command.js';

t.setTimeout(600_000);
const { signal } = new AbortController();
const protocol = loadProtocol('quick');
const noQemu = findQemu() === null && !process.env.CI ? 'qemu-system-arm is not installed' : false;

t.test('a simulated clock wakes sleepers in order, at once', async (t) => {
  const clock = new SimulatedClock(1000);
  const woken: string[] = [];
  const sleeper = async (name: string, ms: number): Promise<void> => {
    await clock.sleep(ms);
    woken.push(`${name} ${clock.nowMs()}`);
  };
  const over = new AbortController();
  const aborted = t.rejects(clock.sleep(50, { signal: over.signal }));
  const all = Promise.all([
    sleeper('b', 3_600_000),
    sleeper('a', 20).then(() => over.abort()),
    sleeper('c', 3_600_000),
  ]);
  await aborted;
  t.equal(clock.nowMs(), 1020, 'the abort is heard when it happens');
  await all;
  t.same(woken, ['a 1020', 'b 3601000', 'c 3601000']);
});

t.test('bytes are lost, flipped, doubled and split as often as asked, the same for a seed', async (t) => {
  const bytes = Uint8Array.from({ length: 20_000 }, (_, i) => i % 256);
  const once = (faults: Parameters<typeof damaged>[1], seed = 5) =>
    damaged(bytes, faults, Xoshiro128.fromSeed(seed));
  const equal = (a: Uint8Array, b: Uint8Array): boolean => Buffer.from(a).equals(b);
  t.ok(equal(once({}), bytes));
  t.ok(equal(once({ lose: 0.1, flip: 0.1, repeat: 0.1 }), once({ lose: 0.1, flip: 0.1, repeat: 0.1 })));
  t.notOk(equal(once({ lose: 0.1 }), once({ lose: 0.1 }, 6)));
  t.ok(Math.abs(once({ lose: 0.1 }).length - 18_000) < 150);
  t.ok(Math.abs(once({ repeat: 0.1 }).length - 22_000) < 150);
  const flipped = once({ flip: 0.1 }).filter((byte, i) => byte !== bytes[i]);
  t.ok(Math.abs(flipped.length - 2000) < 150);
  const digits = once({ loseDigits: 1 });
  t.ok(digits.length > 19_000 && !digits.some((byte) => byte >= 0x30 && byte <= 0x39));
  t.equal(once({ losePieces: 1 }).length, 0);
  t.ok(equal(Buffer.concat(split(bytes, { splitBytes: 3 })), bytes));
  t.ok(split(bytes, { splitBytes: 3 }).every((part) => part.length <= 3));
});

/** A board that says back what it hears, and counts its starts. */
function parrot() {
  const state = { starts: 1, open: 0 };
  return {
    state,
    open: async (): Promise<Transport> => {
      let listener: (bytes: Uint8Array) => void = () => {};
      state.open++;
      return {
        name: 'parrot',
        write: async (bytes) => listener(bytes),
        onBytes: (heard) => {
          listener = heard;
        },
        onClose: () => {},
        close: async () => void state.open--,
      };
    },
    reset: async () => void state.starts++,
  };
}

t.test('a port hangs, comes unplugged, resets its board and heals', async (t) => {
  const clock = new SimulatedClock();
  const board = parrot();
  const port = new FaultyPort({ name: 'port', board, clock, rng: Xoshiro128.fromSeed(3) });
  let heard = '';
  let lost = '';
  const open = async (): Promise<Transport> => {
    const line = await port.open();
    heard = lost = '';
    line.onBytes((bytes) => {
      heard += Buffer.from(bytes).toString('latin1');
    });
    line.onClose((reason) => {
      lost = reason;
    });
    return line;
  };
  const say = async (line: Transport, text: string, faults: LineFaults | null = null): Promise<string> => {
    if (faults) port.strike(faults);
    heard = '';
    await line.write(Buffer.from(text));
    await clock.sleep(5000);
    return heard;
  };
  let line = await open();
  await t.rejects(port.open(), { code: 'DEVICE_BUSY' }, 'one program at a time');
  t.equal(await say(line, 'hello'), 'hello');
  t.equal(await say(line, 'abc', { echo: true, fromBoard: { delayMs: 100, jitterMs: 900 } }), 'abcabc');
  t.equal(await say(line, 'none', { hang: { atMs: 0, forMs: 2000 } }).then(() => say(line, 'back')), 'back');
  t.equal(await say(line, 'x'.repeat(100), { fromBoard: { splitBytes: 1, gapMs: 1 } }), 'x'.repeat(100));
  port.strike({ resetsAtMs: [10, 20] });
  await clock.sleep(30);
  t.equal(board.state.starts, 3);
  t.equal(await say(line, 'still open'), 'still open');
  port.strike({ unplug: { atMs: 0, forMs: 1000 } });
  await clock.sleep(10);
  t.match(lost, /unplugged/);
  t.equal(port.plugged, false);
  await t.rejects(line.write(Buffer.from('x')), { code: 'DEVICE_FAILED' });
  await t.rejects(port.open(), { code: 'DEVICE_FAILED' });
  await clock.sleep(1000);
  t.ok(port.plugged);
  port.strike({ garbageBytes: 9, bootOnOpenMs: 3000, noise: { everyMs: 100, bytes: 2 } });
  line = await open();
  t.equal(board.state.starts, 4, 'opening resets it');
  await line.write(Buffer.from('too early'));
  await clock.sleep(1000);
  t.ok(heard.length > 9 && !heard.includes('early'), 'garbage, noise, and no answer before it has booted');
  port.heal();
  await clock.sleep(2500);
  t.equal(await say(line, 'sound'), 'sound');
  await line.close();
  t.equal(board.state.open, 0);
});

t.test(
  'MLPerf Tiny with every fault: right in the end, nothing wrong is valid, nothing is silent',
  async (t) => {
    const outcomes = await runFaults({
      makeLine: async (seed) => scriptedLine(seed, new SimulatedClock()),
      faults: faultList,
      seeds: 2,
      protocol,
      signal,
    });
    const { kinds, faults, recovered, wrongValid, hangs } = tally(outcomes);
    t.ok(kinds >= 35, `${kinds} kinds`);
    t.same({ recovered, wrongValid, hangs }, { recovered: faults, wrongValid: 0, hangs: 0 });
    const said = (name: string) => outcomes.filter(({ fault }) => fault === name).map(({ during }) => during);
    t.same(said('slows-down'), ['throttled', 'throttled']);
    t.same(said('hang'), ['DEVICE_FAILED', 'DEVICE_FAILED']);
    t.same(said('late'), ['right', 'right'], 'late answers are no fault of the board');
  },
);

t.test('a driver that takes wrong values for valid, or waits in silence, is told', async (t) => {
  const lying =
    (how: 'wrong' | 'silent') =>
    async (seed: number): Promise<LineUnderTest> => {
      const line = scriptedLine(seed, new SimulatedClock());
      let struck = false;
      const driver: Driver = {
        kind: 'mlperf-tiny',
        discover: (options) => line.driver.discover(options),
        open: async (sighting, options) => {
          const device = await line.driver.open(sighting, options);
          const measure: typeof device.measure = async (network, rules, call) => {
            const measurement = await device.measure(network, rules, call);
            const { latency } = measurement;
            if (!struck || !latency) return measurement;
            if (how === 'silent') await line.clock.sleep(11_000);
            const us = how === 'wrong' ? 71_168.5 : latency.normalisedUs;
            return { ...measurement, latency: { ...latency, normalisedUs: us, normalisedCiUs: [us, us] } };
          };
          return { target: device.target, limits: device.limits, measure, close: () => device.close() };
        },
      };
      const strike: LineUnderTest['strike'] = (fault, chance) => {
        struck = true;
        return line.strike(fault, chance);
      };
      return { ...line, driver, strike };
    };
  const faults = faultList.filter(({ name }) => name === 'garbage-on-open' || name === 'late');
  const run = async (how: 'wrong' | 'silent') =>
    tally(await runFaults({ makeLine: lying(how), faults, seeds: 2, protocol, signal }));
  t.match(await run('wrong'), { wrongValid: 4, recovered: 0, faults: 4, hangs: 0 });
  t.match(await run('silent'), { wrongValid: 0, recovered: 4, hangs: 4 });
});

t.test("hilda's own firmware over faulty lines", { skip: noQemu }, async (t) => {
  const names = ['garbage-on-open', 'cycle-jitter', 'cycles-slow-down'];
  const outcomes = await runFaults({
    makeLine: (seed) => emulatedLine('mps2-an386', seed, systemClock, signal),
    faults: faultList.filter(({ name }) => names.includes(name)),
    seeds: 1,
    side: 2,
    protocol,
    signal,
  });
  const { faults, recovered, wrongValid } = tally(outcomes);
  t.same(
    { recovered, wrongValid },
    { recovered: faults, wrongValid: 0 },
    outcomes
      .map(({ fault, during, after, reason }) => `${fault}: ${during}, ${after} (${reason})`)
      .join('\n'),
  );
  t.equal(outcomes.length, names.length);
  t.match(outcomes.find(({ fault }) => fault === 'cycles-slow-down')?.during, /^(throttled|drifted)$/);
});

t.test('hilda devices test-line', async (t) => {
  const listed = await runHere(['devices', 'test-line', '--list', '--json']);
  t.equal(JSON.parse(listed.out).faults.length, faultList.length);
  const run = await runHere([
    'devices',
    'test-line',
    '--faults',
    'late,slows-down',
    '--seeds',
    '1',
    '--json',
  ]);
  t.equal(run.code, 0, run.err);
  t.match(JSON.parse(run.out), { faults: 1, recovered: 1, wrongValid: 0, outcomes: [{ fault: 'late' }, {}] });
  const shown = await runHere(['devices', 'test-line', '--faults', 'slows-down', '--seeds', '1']);
  t.match(shown.out, /mlperf-tiny +slows-down +throttled +- +[\d.]+ +yes/);
  t.match(await runHere(['devices', 'test-line', '--faults', 'nope']), { code: 2, err: /--list/ });
  t.match(await runHere(['devices', 'test-line', '--seeds', 'x']), { code: 2 });
  const nowhere = await runHere(['devices', 'test-line', '/dev/no-such-port']);
  t.match(nowhere, { code: 9, err: /no firmware that hilda knows/ });
});

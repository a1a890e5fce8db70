import t from 'tap';
import { costsOf } from '../../daemon/core/measurement.js';
import { SimulatedClock } from '../../daemon/core/simulated-clock.js';
import type { Device, Driver } from '../../daemon/devices/contract.js';
import { VirtualDriver } from '../../daemon/devices/virtual/driver.js';
import { virtualLatencyUs } from '../../daemon/devices/virtual/latency.js';
import type { VirtualUnitOptions } from '../../daemon/devices/virtual/unit.js';
import { loadProtocol } from '../../daemon/measure/protocols.js';
import { deviceContract, doublingNetwork } from '../contract/device-contract.js';

const { signal } = new AbortController();
const startMs = Date.UTC(2026, 0, 1);
const minuteMs = 60_000;
const quick = loadProtocol('quick');
const network = doublingNetwork(16, 32);

function fleet(units: readonly VirtualUnitOptions[], pace = 1) {
  const clock = new SimulatedClock(startMs);
  return { clock, driver: new VirtualDriver({ clock, units, pace }) };
}

async function idsOf(driver: Driver): Promise<string[]> {
  const ids: string[] = [];
  for await (const { id } of driver.discover({ signal })) ids.push(id);
  return ids;
}

async function openFirst(driver: Driver): Promise<Device> {
  for await (const sighting of driver.discover({ signal })) return driver.open(sighting, { signal });
  throw new Error('nothing seen');
}

const usOf = async (device: Device): Promise<number> =>
  costsOf(await device.measure(network, quick, { signal })).latencyUs as number;

/** The code a call fails with, and when. */
async function failureOf(call: Promise<unknown>, clock: SimulatedClock): Promise<[string, number]> {
  return call.then(
    () => ['none', 0],
    (thrown: { code: string }) => [thrown.code, (clock.nowMs() - startMs) / minuteMs],
  );
}

t.test('a virtual device keeps the contract', (t) =>
  deviceContract(t, () => fleet([{ id: 'virtual-0' }, { id: 'virtual-1', speed: 2 }]).driver, {
    broken: { ...network, nodes: network.nodes.map((node) => ({ ...node, op: 'NoSuchOperator' })) },
    host: null,
  }),
);

t.test('the same seed gives the same figures; they say that they are virtual', async (t) => {
  const once = async (seed: number) => {
    const { driver, clock } = fleet([{ id: 'virtual-0', seed, speed: 2 }]);
    const taken = await (await openFirst(driver)).measure(network, quick, { signal });
    return { taken, endedMs: clock.nowMs() };
  };
  const [a, b, other] = [await once(1), await once(1), await once(2)];
  t.same(a, b);
  t.not(a.taken.latency?.normalisedUs, other.taken.latency?.normalisedUs);
  t.equal(a.taken.verdict, 'valid', a.taken.reason);
  t.match(a.taken, { provenance: 'emulated', target: { tier: 'virtual' }, manifest: { virtual: true } });
  const off = Math.log(((a.taken.latency?.normalisedUs ?? 0) * 2) / virtualLatencyUs(network));
  t.ok(Math.abs(off) < 0.03, `it is twice as fast, ${off}`);
  t.ok(Math.abs(a.endedMs - startMs - a.taken.durationMs) < 0.01, 'it takes the time that it says');
});

t.test('noise has two levels, and the interval holds both', async (t) => {
  const spread = async (noise: { within: number; between: number }): Promise<number> => {
    const { driver } = fleet([{ id: 'virtual-0', noise }], 0);
    const device = await openFirst(driver);
    const logs: number[] = [];
    for (let i = 0; i < 60; i++) logs.push(Math.log(await usOf(device)));
    const mean = logs.reduce((sum, one) => sum + one) / logs.length;
    return Math.sqrt(logs.reduce((sum, one) => sum + (one - mean) ** 2, 0) / (logs.length - 1));
  };
  const steady = await spread({ within: 0.01, between: 0 });
  const moving = await spread({ within: 0.01, between: 0.02 });
  t.ok(steady < 0.005, `rounds average the noise of runs: ${steady}`);
  t.ok(moving > 0.015 && moving < 0.026, `and not that of sessions: ${moving}`);
  const { driver } = fleet([{ id: 'virtual-0', noise: { within: 0.01, between: 0.02 } }], 0);
  const { latency } = await (await openFirst(driver)).measure(network, quick, { signal });
  const [low, high] = latency?.normalisedCiUs ?? [0, 0];
  t.ok(Math.log(high / low) / 2 / 1.96 > 0.0199, 'as wide as both');
  t.equal(latency?.spread?.between, 0.02);
});

t.test('under work it warms and slows down, at rest it cools', async (t) => {
  const thermal = { ambientC: 25, riseC: 60, minutes: 0.02, limitC: 40, slowerPerC: 0.02 };
  const { driver, clock } = fleet([{ id: 'virtual-0', thermal, noise: { within: 0.001, between: 0 } }]);
  const device = await openFirst(driver);
  const taken = async () => device.measure(network, quick, { signal });
  const [first, second] = [await taken(), await taken()];
  const { startC, endC } = first.manifest as { startC: number; endC: number };
  t.equal(startC, 25);
  t.ok(endC > 40, `${endC}`);
  t.equal(second.manifest.startC, endC, 'it had no rest');
  const rawOf = ({ latency }: typeof first): number => latency?.rawUs.median ?? 0;
  t.ok(rawOf(second) > rawOf(first), 'warm is slower');
  const [cold, warm] = [first, second].map(({ latency }) => latency?.normalisedUs ?? 0) as [number, number];
  t.ok(Math.abs(cold / warm - 1) < 0.01, 'the reference slows down with it');
  await clock.sleep(10 * minuteMs);
  t.equal((await taken()).manifest.startC, 25);
});

t.test('an unplugged device leaves and comes back, an opened one is gone', async (t) => {
  const at = (minutes: number): number => startMs + minutes * minuteMs;
  const { driver, clock } = fleet([
    { id: 'virtual-0', mishaps: [{ kind: 'unplug', fromMs: at(10), untilMs: at(20) }] },
    { id: 'virtual-1' },
  ]);
  const looks: Promise<[number, string[]]>[] = [];
  const look = async (): Promise<[number, string[]]> => [
    (clock.nowMs() - startMs) / minuteMs,
    await idsOf(driver),
  ];
  const watched = driver.watch({ signal, onChange: () => looks.push(look()) });
  const device = await openFirst(driver);
  await clock.sleep(10 * minuteMs - 1);
  t.same(await failureOf(device.measure(network, quick, { signal }), clock), ['DEVICE_GONE', 10]);
  t.equal((await failureOf(device.measure(network, quick, { signal }), clock))[0], 'DEVICE_GONE');
  await watched;
  t.same(await Promise.all(looks), [
    [10, ['virtual-1']],
    [20, ['virtual-0', 'virtual-1']],
  ]);
  t.equal(
    (await failureOf(device.measure(network, quick, { signal }), clock))[0],
    'DEVICE_GONE',
    'as opened',
  );
  t.ok(await usOf(await openFirst(driver)), 'opened afresh it works');
});

t.test('a device that hangs answers nobody until it has ended', async (t) => {
  const at = (minutes: number): number => startMs + minutes * minuteMs;
  const { driver, clock } = fleet([
    { id: 'virtual-0', mishaps: [{ kind: 'hang', fromMs: at(10), untilMs: at(20) }] },
  ]);
  const device = await openFirst(driver);
  await clock.sleep(10 * minuteMs);
  t.same(await failureOf(device.measure(network, quick, { signal }), clock), ['DEVICE_TIMEOUT', 11]);
  t.same(await failureOf(openFirst(driver), clock), ['DEVICE_FAILED', 12]);
  await clock.sleep(8 * minuteMs);
  t.ok(await usOf(device), 'it goes on by itself');
  await clock.sleep(minuteMs);
  const stopped = AbortSignal.abort(new Error('enough'));
  t.equal((await failureOf(device.measure(network, quick, { signal: stopped }), clock))[0], 'INTERRUPTED');
});

t.test(
  'a device that moved has another address; another firmware is another version and speed',
  async (t) => {
    const at = (minutes: number): number => startMs + minutes * minuteMs;
    const { driver, clock } = fleet([
      {
        id: 'virtual-0',
        noise: { within: 0.001, between: 0 },
        mishaps: [{ kind: 'move', fromMs: at(10), untilMs: at(11) }],
        firmware: [{ version: '2.0.0', fromMs: at(30), factor: 1.25 }],
      },
    ]);
    const taken = async () => (await openFirst(driver)).measure(network, quick, { signal });
    const first = await taken();
    await clock.sleep(11 * minuteMs);
    const moved = await taken();
    t.match(
      [first, moved],
      [
        { manifest: { address: 'virtual://virtual-0/1', firmware: '1.0.0' } },
        { manifest: { address: 'virtual://virtual-0/2', firmware: '1.0.0' } },
      ],
    );
    await clock.sleep(20 * minuteMs);
    const device = await openFirst(driver);
    const known = { convolutionUs: 1, transformerUs: 1, takenAtMs: 1 };
    const later = await device.measure(network, quick, { signal });
    t.match(later, { manifest: { firmware: '2.0.0' }, target: { runtimeVersion: '2.0.0' } });
    const ratio = (later.latency?.normalisedUs ?? 0) / (first.latency?.normalisedUs ?? 1);
    t.ok(Math.abs(ratio / 1.25 - 1) < 0.005, `${ratio}`);
    t.same(await device.calibrate?.({ signal, known }), known);
    t.throws(() => fleet([{ id: 'a' }, { id: 'a' }]), RangeError);
  },
);

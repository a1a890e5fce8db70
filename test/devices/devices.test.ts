import t from 'tap';
import type { Device, Driver } from '../../daemon/devices/contract.js';
import { type Fault, fakeLatencyUs } from '../../daemon/devices/fake/device.js';
import { FakeDriver } from '../../daemon/devices/fake/driver.js';
import { OnnxRuntimeDriver } from '../../daemon/devices/onnxruntime/driver.js';
import { activationPeakBytes, operatorCosts } from '../../daemon/devices/onnxruntime/trace-costs.js';
import { openDrivers } from '../../daemon/devices/registry.js';
import { loadProtocol } from '../../daemon/measure/protocols.js';
import type { TraceRow } from '../../daemon/runtime/messages.js';
import { contractProtocol, deviceContract, doublingNetwork } from '../contract/device-contract.js';

const { signal } = new AbortController();

async function openFirst(driver: Driver): Promise<Device> {
  for await (const sighting of driver.discover({ signal })) return driver.open(sighting, { signal });
  throw new Error('nothing seen');
}

t.test('onnxruntime keeps the contract', (t) => {
  const sound = doublingNetwork();
  const broken = { ...sound, nodes: sound.nodes.map((node) => ({ ...node, op: 'NoSuchOperator' })) };
  return deviceContract(t, () => new OnnxRuntimeDriver(), { broken, host: 'local' });
});

t.test('the fake keeps the contract', (t) =>
  deviceContract(t, () => new FakeDriver(), {
    refusedBy: () => new FakeDriver({ faults: ['reject'] }),
    host: null,
  }),
);

t.test('the fake is deterministic and measures what its formula says', async (t) => {
  const network = doublingNetwork(16, 32);
  const [a, b] = [await openFirst(new FakeDriver()), await openFirst(new FakeDriver())];
  const protocol = loadProtocol('search');
  const first = await a.measure(network, protocol, { signal });
  t.same((await b.measure(network, protocol, { signal })).rounds, first.rounds);
  t.equal(first.verdict, 'valid');
  t.equal(first.provenance, 'emulated');
  t.ok(Math.abs((first.latency?.normalisedUs ?? 0) / fakeLatencyUs(network) - 1) < 0.01);
});

t.test('each fault of the fake comes out as its code or verdict', async (t) => {
  const codes: Partial<Record<Fault, string>> = {
    hang: 'DEVICE_TIMEOUT',
    crash: 'DEVICE_FAILED',
    reject: 'NETWORK_REJECTED',
    outOfMemory: 'DEVICE_OUT_OF_MEMORY',
  };
  const device = await openFirst(new FakeDriver({ timeoutMs: 20, faults: Object.keys(codes) as Fault[] }));
  for (const code of Object.values(codes)) {
    await t.rejects(device.measure(doublingNetwork(), contractProtocol, { signal }), { code });
  }
  const disturbed = await openFirst(new FakeDriver({ faults: ['drift', 'throttle', 'contended'] }));
  const protocol = { ...loadProtocol('search'), ciHalfWidth: 0.005, minRounds: 40 };
  for (const verdict of ['drifted', 'throttled', 'contended']) {
    t.equal((await disturbed.measure(doublingNetwork(), protocol, { signal })).verdict, verdict);
  }
});

t.test('a provider that is not there is no CPU in disguise', async (t) => {
  const [driver] = (await openDrivers({ onnxruntime: { provider: 'bogus' } })).drivers;
  const sightings = [];
  for await (const sighting of (driver as Driver).discover({ signal })) sightings.push(sighting);
  t.match(sightings[0]?.obstacle, /bogus/);
  await t.rejects((driver as Driver).open(sightings[0] as never, { signal }), { code: 'PROVIDER_UNKNOWN' });
});

t.test('memory and operator costs from a trace', async (t) => {
  const row = (run: number, durUs: number, inUse: number, delta: number): TraceRow => ({
    run,
    name: 'n',
    op: 'Conv',
    provider: 'cpu',
    durUs,
    memInUsePeakBytes: inUse,
    memRequestedInUseBytes: inUse,
    memRequestedDeltaBytes: delta,
    outputBytes: 10,
    parameterBytes: 20,
  });
  // 100 bytes of packed weights, then 50 and 80 live; later runs hold the whole pattern at once.
  const rows = [
    row(0, 99, 150, 50),
    row(0, 99, 180, 30),
    row(1, 5, 900, 0),
    row(1, 7, 900, 0),
    row(2, 9, 900, 0),
    row(2, 9, 900, 0),
  ];
  t.equal(activationPeakBytes(rows), 80);
  t.same(
    operatorCosts(rows).map(({ medianUs, liveBytes }) => [medianUs, liveBytes]),
    [
      [7, 50],
      [8, 80],
    ],
  );
  t.equal(activationPeakBytes([]), 0);
});

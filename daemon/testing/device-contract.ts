import assert from 'node:assert/strict';
import { errorTable, HildaError } from '../core/errors.js';
import type { Counts, Latency } from '../core/measurement.js';
import type { Device, Driver, Sighting } from '../devices/contract.js';
import type { Graph } from '../network/graph.js';
import type { ContractCase } from './contract-case.js';
import { contractProtocol, doublingNetwork } from './doubling-network.js';

export interface DeviceContractOptions {
  /** A network that the device must refuse. */
  readonly broken?: Graph;
  /** A driver whose first measurement is refused, in place of `broken`. */
  readonly refusedBy?: () => Driver;
  /** Of the whole suite; 4 minutes by default. */
  readonly timeoutMs?: number;
  /** What `host` of the sightings must be. */
  readonly host?: string | RegExp | null;
}

/** What every driver and its devices must do; see the prose of `Driver` and `Device`. `driver` makes a new one each time. */
export function deviceContract(
  driver: () => Driver,
  options: DeviceContractOptions = {},
): readonly ContractCase[] {
  const network = doublingNetwork();
  let limit: AbortSignal | undefined;
  const signalNow = (): AbortSignal => {
    limit ??= AbortSignal.timeout(options.timeoutMs ?? 240_000);
    return limit;
  };
  const cases: readonly (readonly [name: string, run: (signal: AbortSignal) => Promise<void>])[] = [
    ['discovery ends, repeats itself and changes nothing', (signal) => discovers(driver, options, signal)],
    ['a measurement is whole', (signal) => measures(driver, network, signal)],
    ['optional abilities', (signal) => doesMore(driver, network, signal)],
    ['an abort is INTERRUPTED, and the device lives on', (signal) => isAborted(driver, network, signal)],
    [
      'a refusal has a code, and the device lives on',
      async (signal) => {
        const device = await openFirst((options.refusedBy ?? driver)(), signal);
        const error = await failure(device.measure(options.broken ?? network, contractProtocol, { signal }));
        assert.ok(['NETWORK_REJECTED', 'OPERATOR_UNSUPPORTED'].includes(error.code), error.code);
        assert.ok(await device.measure(network, contractProtocol, { signal }));
        await device.close();
      },
    ],
    [
      'close twice; afterwards every call fails with a code',
      async (signal) => {
        const device = await openFirst(driver(), signal);
        await device.close();
        await device.close();
        const error = await failure(device.measure(network, contractProtocol, { signal }));
        assert.ok(error instanceof HildaError && error.code in errorTable, error.message);
        assert.equal(error.code, 'DEVICE_FAILED');
      },
    ],
  ];
  return cases.map(([name, run]) => ({ name, run: () => run(signalNow()) }));
}

async function openFirst(driver: Driver, signal: AbortSignal): Promise<Device> {
  for await (const sighting of driver.discover({ signal })) return driver.open(sighting, { signal });
  throw new HildaError('DEVICE_UNKNOWN', 'the driver saw no device');
}

async function failure(work: Promise<unknown>): Promise<HildaError> {
  return work.then(
    () => assert.fail('it did not fail'),
    (thrown: unknown) => thrown as HildaError,
  );
}

async function discovers(
  driver: () => Driver,
  { host: expected }: DeviceContractOptions,
  signal: AbortSignal,
): Promise<void> {
  const seen = async (): Promise<Sighting[]> => {
    const list: Sighting[] = [];
    for await (const sighting of driver().discover({ signal })) list.push(sighting);
    return list;
  };
  const first = await seen();
  assert.ok(first.length >= 1, 'a device is seen');
  assert.deepEqual(await seen(), first);
  for (const { host } of first) {
    assert.ok(host === null || /^[\w.-]+$/.test(host), 'it says whose processors it shares');
    if (expected instanceof RegExp) assert.match(host ?? '', expected);
    else if (expected !== undefined) assert.equal(host, expected);
  }
}

async function measures(driver: () => Driver, network: Graph, signal: AbortSignal): Promise<void> {
  const device = await openFirst(driver(), signal);
  const steps = new Set<string>();
  const known = { convolutionUs: 1000, transformerUs: 2000, takenAtMs: 1 };
  if (device.calibrate)
    assert.deepEqual(await device.calibrate({ signal, known }), known, 'a known calibration is adopted');
  const m = await device.measure(network, contractProtocol, {
    signal,
    onProgress: ({ step }) => steps.add(step),
  });
  assert.deepEqual(m.target, device.target);
  assert.equal(m.protocol, 'contract');
  assert.match(m.structureHash, /^[0-9a-f]{64}$/);
  assert.match(m.weightsHash, /^[0-9a-f]{64}$/);
  assert.ok(m.reason.length > 10, m.reason);
  assert.ok(steps.has('rounds'), 'it tells its rounds');
  if (m.latency)
    assert.ok(m.rounds.length >= contractProtocol.minRounds && m.rounds.length <= contractProtocol.maxRounds);
  assert.ok(m.latency || m.counts, 'it times or it counts');
  if (m.latency) checkLatency(m.latency);
  if (m.counts) checkCounts(m.counts);
  if (m.counts && m.provenance === 'emulated')
    assert.equal(m.latency, null, 'an emulated board has no microseconds');
  assert.ok(m.memory.weightBytes >= 4 * 4);
  const activations = m.memory.activationPeakBytes ?? 0;
  assert.equal(m.memory.peakBytes, m.memory.weightBytes + activations);
  assert.ok(activations > 0);
  assert.doesNotThrow(() => JSON.stringify(m), 'a measurement is data');
  const again = await device.measure(network, contractProtocol, { signal });
  assert.equal(again.memory.activationPeakBytes, m.memory.activationPeakBytes, 'memory is deterministic');
  assert.deepEqual(again.counts, m.counts, 'counts are deterministic');
  await device.close();
}

function checkLatency({ rawUs, ratio, normalisedUs, normalisedCiUs, loadUs, firstRunUs }: Latency): void {
  for (const { min, median, p90, ciLow, ciHigh } of [rawUs, ratio]) {
    assert.ok(0 < min && min <= median && median <= p90, 'quantiles are in order');
    assert.ok(ciLow <= median && median <= ciHigh, 'the interval holds the median');
  }
  assert.ok(normalisedCiUs[0] <= normalisedUs && normalisedUs <= normalisedCiUs[1]);
  for (const us of [loadUs, firstRunUs]) assert.ok(us === null || us > 0);
}

function checkCounts(counts: Counts): void {
  assert.ok(counts.total > 0 && Number.isInteger(counts.total));
  assert.ok(counts.operators.length >= 1);
  assert.equal(
    counts.operators.reduce((sum, { count }) => sum + count, 0),
    counts.total,
    'the operators add up',
  );
  assert.equal(counts.arenaPeakBytes, counts.arenaPlannedBytes, 'the arena is used to the byte');
  assert.equal(counts.peakRamBytes, counts.arenaPeakBytes + counts.stackPeakBytes);
  assert.ok(counts.stackPeakBytes > 0 && counts.flashBytes > 0);
  assert.match(counts.firmwareBuild, /^[0-9a-f]{64}$/);
}

async function doesMore(driver: () => Driver, network: Graph, signal: AbortSignal): Promise<void> {
  const device = await openFirst(driver(), signal);
  if (device.run) {
    const data = Float32Array.from({ length: 256 }, (_, i) => i - 128);
    const outputs = await device.run(network, { x: { dims: [1, 4, 8, 8], data } }, { signal });
    const [output] = Object.values(outputs);
    assert.deepEqual([...(output?.dims ?? [])], [1, 4, 8, 8]);
    // Eight bits leave half a step of the input, doubled, and half a step of the output: their range is 256 wide.
    const tolerance = device.target.dtype === 'int8' ? 2 : 0;
    const wrong = data.findIndex(
      (v, i) => !(Math.abs((output?.data[i] ?? Number.NaN) - Math.max(0, 2 * v)) <= tolerance),
    );
    assert.equal(wrong, -1, `value ${wrong}`);
  }
  if (device.profile) {
    const rows = await device.profile(network, { signal });
    assert.ok(rows.length >= 1, 'a profile has rows');
    for (const row of rows) {
      assert.ok((row.medianUs ?? row.count?.value ?? -1) >= 0);
      assert.equal(row.provider, device.target.provider);
    }
  }
  await device.close();
}

async function isAborted(driver: () => Driver, network: Graph, signal: AbortSignal): Promise<void> {
  const device = await openFirst(driver(), signal);
  const controller = new AbortController();
  controller.abort();
  const early = await failure(device.measure(network, contractProtocol, { signal: controller.signal }));
  assert.equal(early.code, 'INTERRUPTED');
  const running = new AbortController();
  const late = await failure(
    device.measure(
      network,
      { ...contractProtocol, ciHalfWidth: 1e-9, maxRounds: 10_000 },
      { signal: running.signal, onProgress: () => running.abort() },
    ),
  );
  assert.equal(late.code, 'INTERRUPTED');
  assert.ok(await device.measure(network, contractProtocol, { signal }));
  await device.close();
}

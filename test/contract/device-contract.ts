import type { Test } from 'tap';
import { errorTable, HildaError } from '../../daemon/core/errors.js';
import type { Counts, Latency } from '../../daemon/core/measurement.js';
import type { Device, Driver, Sighting } from '../../daemon/devices/contract.js';
import { protocolSchema } from '../../daemon/measure/protocol.js';
import { floatTensor, type Graph } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';

/** Short and lenient: the suite asks for form and behaviour, not for quiet hardware. */
export const contractProtocol = protocolSchema.parse({
  name: 'contract',
  warmupBlock: 2,
  warmupTolerance: 0.5,
  warmupMaxMs: 50,
  runsPerLeg: 3,
  minRounds: 3,
  maxRounds: 6,
  maxMs: 500,
  ciHalfWidth: 0.2,
  referenceTolerance: 2,
});

/** y = relu(w * x), w a 1 x 1 convolution that doubles each channel. */
export function doublingNetwork(channels = 4, size = 8): Graph {
  const builder = new GraphBuilder({ name: 'doubling' });
  const x = builder.input('x', 'float32', [1, channels, size, size]);
  const diagonal = Float32Array.from({ length: channels * channels }, (_, i) =>
    i % (channels + 1) === 0 ? 2 : 0,
  );
  builder.output(
    builder.relu(builder.conv(x, builder.constant('w', floatTensor([channels, channels, 1, 1], diagonal)))),
  );
  return builder.build();
}

async function openFirst(driver: Driver, signal: AbortSignal): Promise<Device> {
  for await (const sighting of driver.discover({ signal })) return driver.open(sighting, { signal });
  throw new HildaError('DEVICE_UNKNOWN', 'the driver saw no device');
}

function checkLatency(t: Test, latency: Latency): void {
  const { rawUs, ratio, normalisedUs, normalisedCiUs, loadUs, firstRunUs } = latency;
  for (const summary of [rawUs, ratio]) {
    t.ok(
      0 < summary.min && summary.min <= summary.median && summary.median <= summary.p90,
      'quantiles are in order',
    );
    t.ok(
      summary.ciLow <= summary.median && summary.median <= summary.ciHigh,
      'the interval holds the median',
    );
  }
  t.ok(normalisedCiUs[0] <= normalisedUs && normalisedUs <= normalisedCiUs[1]);
  for (const us of [loadUs, firstRunUs]) t.ok(us === null || us > 0);
}

function checkCounts(t: Test, counts: Counts): void {
  t.ok(counts.total > 0 && Number.isInteger(counts.total));
  t.ok(counts.operators.length >= 1);
  t.equal(
    counts.operators.reduce((sum, { count }) => sum + count, 0),
    counts.total,
    'the operators add up',
  );
  t.equal(counts.arenaPeakBytes, counts.arenaPlannedBytes, 'the arena is used to the byte');
  t.equal(counts.peakRamBytes, counts.arenaPeakBytes + counts.stackPeakBytes);
  t.ok(counts.stackPeakBytes > 0 && counts.flashBytes > 0);
  t.match(counts.firmwareBuild, /^[0-9a-f]{64}$/);
}

/** What every driver and its devices must do. `options.broken` is a network that the device must refuse. */
export async function deviceContract(
  t: Test,
  driver: () => Driver,
  options: {
    readonly broken?: Graph;
    readonly refusedBy?: () => Driver;
    readonly timeoutMs?: number;
    readonly host?: string | RegExp | null;
  },
): Promise<void> {
  const signal = AbortSignal.timeout(options.timeoutMs ?? 240_000);
  const network = doublingNetwork();

  await t.test('discovery ends, repeats itself and changes nothing', async (t) => {
    const seen = async (): Promise<unknown[]> => {
      const list: unknown[] = [];
      for await (const sighting of driver().discover({ signal })) list.push(sighting);
      return list;
    };
    const first = await seen();
    t.ok(first.length >= 1);
    t.same(await seen(), first);
    for (const { host } of first as Sighting[]) {
      t.ok(host === null || /^[\w.-]+$/.test(host), 'it says whose processors it shares');
      if (options.host !== undefined) t.match(host, options.host);
    }
  });

  await t.test('a measurement is whole', async (t) => {
    const device = await openFirst(driver(), signal);
    const steps = new Set<string>();
    const known = { convolutionUs: 1000, transformerUs: 2000, takenAtMs: 1 };
    if (device.calibrate)
      t.same(await device.calibrate({ signal, known }), known, 'a known calibration is adopted');
    const m = await device.measure(network, contractProtocol, {
      signal,
      onProgress: ({ step }) => steps.add(step),
    });
    t.same(m.target, device.target);
    t.equal(m.protocol, 'contract');
    t.match(m.structureHash, /^[0-9a-f]{64}$/);
    t.match(m.weightsHash, /^[0-9a-f]{64}$/);
    t.ok(m.reason.length > 10, m.reason);
    t.ok(steps.has('rounds'));
    if (m.latency)
      t.ok(m.rounds.length >= contractProtocol.minRounds && m.rounds.length <= contractProtocol.maxRounds);
    t.ok(m.latency || m.counts, 'it times or it counts');
    if (m.latency) checkLatency(t, m.latency);
    if (m.counts) checkCounts(t, m.counts);
    if (m.counts && m.provenance === 'emulated')
      t.equal(m.latency, null, 'an emulated board has no microseconds');
    t.ok(m.memory.weightBytes >= 4 * 4);
    const activations = m.memory.activationPeakBytes ?? 0;
    t.equal(m.memory.peakBytes, m.memory.weightBytes + activations);
    t.ok(activations > 0);
    t.doesNotThrow(() => JSON.stringify(m), 'a measurement is data');
    const again = await device.measure(network, contractProtocol, { signal });
    t.same(again.memory.activationPeakBytes, m.memory.activationPeakBytes, 'memory is deterministic');
    t.same(again.counts, m.counts, 'counts are deterministic');
    await device.close();
  });

  await t.test('optional abilities', async (t) => {
    const device = await openFirst(driver(), signal);
    if (device.run) {
      const data = Float32Array.from({ length: 256 }, (_, i) => i - 128);
      const outputs = await device.run(network, { x: { dims: [1, 4, 8, 8], data } }, { signal });
      const [output] = Object.values(outputs);
      t.same(output?.dims, [1, 4, 8, 8]);
      // Eight bits leave half a step of the input, doubled, and half a step of the output: their range is 256 wide.
      const tolerance = device.target.dtype === 'int8' ? 2 : 0;
      const wrong = data.findIndex(
        (v, i) => Math.abs((output?.data[i] ?? 0) - Math.max(0, 2 * v)) > tolerance,
      );
      t.equal(wrong, -1, `value ${wrong}`);
    }
    if (device.profile) {
      const rows = await device.profile(network, { signal });
      t.ok(
        rows.length >= 1 &&
          rows.every(
            (row) => (row.medianUs ?? row.count?.value ?? -1) >= 0 && row.provider === device.target.provider,
          ),
      );
    }
    await device.close();
  });

  await t.test('an abort is INTERRUPTED, and the device lives on', async (t) => {
    const device = await openFirst(driver(), signal);
    const controller = new AbortController();
    controller.abort();
    await t.rejects(device.measure(network, contractProtocol, { signal: controller.signal }), {
      code: 'INTERRUPTED',
    });
    const running = new AbortController();
    await t.rejects(
      device.measure(
        network,
        { ...contractProtocol, ciHalfWidth: 1e-9, maxRounds: 10_000 },
        { signal: running.signal, onProgress: () => running.abort() },
      ),
      { code: 'INTERRUPTED' },
    );
    t.ok(await device.measure(network, contractProtocol, { signal }));
    await device.close();
  });

  await t.test('a refusal has a code, and the device lives on', async (t) => {
    const device = await openFirst((options.refusedBy ?? driver)(), signal);
    const error = await device
      .measure(options.broken ?? network, contractProtocol, { signal })
      .catch((e) => e);
    t.ok(['NETWORK_REJECTED', 'OPERATOR_UNSUPPORTED'].includes(error.code), error.code);
    t.ok(await device.measure(network, contractProtocol, { signal }));
    await device.close();
  });

  await t.test('close twice; afterwards every call fails with a code', async (t) => {
    const device = await openFirst(driver(), signal);
    await device.close();
    await device.close();
    const error = await device.measure(network, contractProtocol, { signal }).catch((e) => e);
    t.ok(error instanceof HildaError && error.code in errorTable && error.code === 'DEVICE_FAILED');
  });
}

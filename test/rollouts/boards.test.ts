import t from 'tap';
import type { DeviceId } from '../../daemon/core/ids.js';
import type { Device, Driver, Sighting } from '../../daemon/devices/contract.js';
import { EmulatedDriver } from '../../daemon/devices/mcu/emulated-driver.js';
import { deployedTo } from '../../daemon/jobs/deployments.js';
import { doublingNetwork } from '../../daemon/testing/doubling-network.js';
import { findQemu } from '../../firmware-bridge/emulator/qemu-board.js';
import { asRead, openWorld, versionOf, weightsOf } from './bench.js';

t.setTimeout(900_000);
/** Skipped only where QEMU cannot be had; CI installs it and forbids the skip. */
const noQemu = findQemu() === null && !process.env.CI ? 'qemu-system-arm is not installed' : false;
const [pico, m4] = ['emulated-rp2040-pico', 'emulated-mps2-an386'] as const;
const [first, second, third] = [versionOf(2), versionOf(3), versionOf(5)];

/** Emulated boards, of which the M4 answers wrongly by one step for one network. */
class LyingDriver implements Driver {
  readonly kind = 'emulator';
  readonly #inner = new EmulatedDriver({ boards: ['rp2040-pico', 'mps2-an386'] });

  discover(options: { readonly signal: AbortSignal }): AsyncIterable<Sighting> {
    return this.#inner.discover(options);
  }

  async open(sighting: Sighting, options: { readonly signal: AbortSignal }): Promise<Device> {
    const device = await this.#inner.open(sighting, options);
    if (sighting.id !== m4) return device;
    const honest = device.runDeployed?.bind(device) as NonNullable<Device['runDeployed']>;
    const lie: NonNullable<Device['runDeployed']> = async (deployment, inputs, call) => {
      const answer = await honest(deployment, inputs, call);
      if (deployment.weightsHash !== weightsOf(third)) return answer;
      const [[name, { dims, data }]] = Object.entries(answer) as [[string, (typeof answer)[string]]];
      const changed = data.with(7, (data[7] ?? 0) + deployment.output.quantisation.scale);
      return { ...answer, [name]: { dims, data: changed } };
    };
    return Object.assign(device, { runDeployed: lie });
  }
}

t.test(
  'the emulated Pico and M4: flashed, equal to the reference bit for bit, counted to the last one, put back',
  { skip: noQemu },
  async (t) => {
    const world = await openWorld(t, () => new LyingDriver());
    const [model1, model2, model3] = [
      await world.upload(first),
      await world.upload(second),
      await world.upload(third),
    ];
    const begin = (model: string, more: object = {}) =>
      world.rollouts.begin({ name: 'keyword', model, devices: [pico, m4], stop: { failed: 2 }, ...more });
    for (const id of [pico, m4]) await world.measureOn(id, first);

    await begin(model1);
    await world.ended('rollout-1', 'done');
    t.same((await world.store.rollout('rollout-1')).counts, { live: 2 });
    const [promised] = Object.values(
      ((await world.store.rollout('rollout-1')).request as { promises: object }).promises,
    );
    t.match(promised, { kind: 'exact', metric: /^(cycles|instructions)$/ }, 'counts are no times');

    await begin(model2);
    await world.ended('rollout-2', 'done');
    const before = await deployedTo(m4 as DeviceId, world.store);
    t.equal(before?.weightsHash, weightsOf(second));

    await begin(model3);
    await world.ended('rollout-3', 'done');
    const devices = await world.store.rolloutDevices('rollout-3');
    t.match(
      devices.find(({ deviceId }) => deviceId === m4),
      { step: 'restored', reason: { code: 'SELF_TEST_FAILED', message: /integer reference/ } },
    );
    t.equal(devices.find(({ deviceId }) => deviceId === pico)?.step, 'live');
    t.match(await world.store.runningOn(m4 as DeviceId), { version: 2, rollout: 'rollout-2' });
    t.match(await world.store.runningOn(pico as DeviceId), { version: 3, rollout: 'rollout-3' });
    // Both boards run what is said: three times the input, and five times.
    for (const [id, factor] of [
      [m4, 3],
      [pico, 5],
    ] as const) {
      const { done } = await world.jobs.submit({
        work: { kind: 'runDeployed', deployment: null },
        inputs: { values: Array.from({ length: 256 }, () => 0.5) },
        devices: { device: id as DeviceId },
        owner: { kind: 'person' },
      });
      const { outputs } = (await done).job.result as unknown as {
        outputs: Record<string, { data: number[] }>;
      };
      const [{ data = [] } = {}] = Object.values(outputs);
      t.ok(Math.abs((data[0] ?? 0) - 0.5 * factor) < 0.05 * factor, `${id}: ${data[0]}`);
    }

    const limited = {
      promise: [
        { metric: 'cycles', max: 1 },
        { metric: 'instructions', max: 1 },
      ],
    };
    await begin(model1, { devices: [pico], ...limited });
    await world.ended('rollout-4', 'done');
    t.match(await world.store.rolloutDevices('rollout-4'), [
      {
        step: 'restored',
        reason: { code: 'PROMISE_BROKEN', message: /cycles is \d+, the specification allows 1/ },
      },
    ]);
    t.match(await world.store.runningOn(pico as DeviceId), { version: 3 });

    const large = await world.upload(doublingNetwork(16, 128));
    await begin(large, { promise: [{ metric: 'cycles', max: 1e12 }] });
    await world.ended('rollout-5', 'refused');
    t.match((await world.store.rollout('rollout-5')).reason, {
      code: 'DEVICE_OUT_OF_MEMORY',
      message: /emulated-rp2040-pico: .*arena of \d+ bytes/,
    });
    t.same(world.errors, []);
  },
);

t.test('an edge: the network that is read is the network that is hashed', async (t) => {
  t.not(weightsOf(first), weightsOf(second));
  t.equal(weightsOf(asRead(first)), weightsOf(first));
});

import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import t from 'tap';
import { asHildaError, HildaError } from '../../daemon/core/errors.js';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { readIdxImages } from '../../daemon/data/labelled/idx-images.js';
import { sliceImages } from '../../daemon/data/labelled/labelled-images.js';
import { AgentDriver } from '../../daemon/devices/agent/driver.js';
import { packTensors, unpackTensors } from '../../daemon/devices/agent/tensor-bytes.js';
import type { Device, Driver, Examples, Tensors } from '../../daemon/devices/contract.js';
import { FakeDriver } from '../../daemon/devices/fake/driver.js';
import { profilesFolder } from '../../daemon/devices/mcu/board-profile.js';
import { EmulatedDriver } from '../../daemon/devices/mcu/emulated-driver.js';
import { OnnxRuntimeDriver } from '../../daemon/devices/onnxruntime/driver.js';
import { structureHash } from '../../daemon/network/canonical-text.js';
import { exampleRanges } from '../../daemon/runtime/example-ranges.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import { findSpace } from '../../daemon/study/parts.js';
import { openSpace } from '../../daemon/train/open-space.js';
import { supernetWeights } from '../../daemon/train/weights/supernet-weights.js';
import { contractProtocol, deviceContract, doublingNetwork } from '../contract/device-contract.js';
import { never, open, openHub, startAgent, until } from './agent-bench.js';

const { signal } = new AbortController();
t.setTimeout(900_000);

async function openFirst(driver: Driver): Promise<Device> {
  for await (const sighting of driver.discover({ signal })) return driver.open(sighting, { signal });
  throw new Error('no device');
}

t.test('a device of an agent keeps the contract', async (t) => {
  const bench = await openHub(t);
  const { hub } = bench;
  const refusing = await openHub(t);
  await startAgent(t, bench, new OnnxRuntimeDriver());
  await startAgent(t, refusing, new FakeDriver({ faults: ['reject'] }));
  await until(() => hub.agents().length + refusing.hub.agents().length === 2, 'both agents joined');
  await t.test('through onnxruntime', (t) =>
    deviceContract(t, () => new AgentDriver(hub), {
      refusedBy: () => new AgentDriver(refusing.hub),
      host: hub.agents()[0]!.id,
    }),
  );
  t.equal(hub.counts.refusedResults, 0);
});

/** A fake with a flash: it holds one network, and answers with its input, doubled. */
class FlashDriver extends FakeDriver {
  readonly calls: string[] = [];
  calibration: readonly Tensors[] = [];

  override async open(...args: Parameters<FakeDriver['open']>): Promise<Device> {
    const device = await super.open(...args);
    const port = {
      dims: [1, 4, 8, 8],
      layout: 'row-major',
      quantisation: { scale: 1, zeroPoint: 0 },
    } as const;
    let held: number | null = null;
    const more: Pick<Device, 'deploy' | 'runDeployed' | 'reset'> = {
      deploy: async (network, { calibration = [] }) => {
        this.calls.push('deploy');
        if ('feeds' in calibration) throw new Error('an agent hands tensors on');
        this.calibration = calibration;
        held = 7;
        return {
          structureHash: structureHash(network),
          weightsHash: 'w',
          programCrc: held,
          flashBytes: 100,
          arenaBytes: 200,
          inputOffset: null,
          inputBytes: 256,
          outputOffset: 0,
          outputBytes: 256,
          input: { name: 'x', ...port },
          output: { name: 'y', ...port },
          moreInputs: [],
          moreOutputs: [],
          calibratedOn: `${calibration.length} inputs`,
        };
      },
      runDeployed: async ({ programCrc }, { x }) => {
        this.calls.push('runDeployed');
        if (programCrc !== held) throw new HildaError('STATE_CONFLICT', 'the board holds another network');
        return { y: { dims: x!.dims, data: x!.data.map((value) => 2 * value) } };
      },
      reset: async () => void this.calls.push('reset'),
    };
    return Object.assign(device, more);
  }
}

t.test('abilities are asked for; networks are deployed and run again through the agent', async (t) => {
  const plain = await openHub(t);
  await startAgent(t, plain, new FakeDriver());
  await until(() => plain.hub.agents().length === 1, 'the agent joined');
  const lacking = await open(plain.hub);
  t.equal(lacking.deploy, undefined);
  t.equal(lacking.runDeployed, undefined);
  const [{ id, devices } = never()] = plain.hub.agents();
  await t.rejects(
    plain.hub.perform(id, devices[0]!.id, { kind: 'reset' }, { signal }),
    { code: 'STATE_CONFLICT' },
    'who asks all the same is told',
  );

  const bench = await openHub(t);
  const driver = new FlashDriver();
  const agent = await startAgent(t, bench, driver);
  await until(() => bench.hub.agents().length === 1, 'the agent joined');
  const device = await open(bench.hub);
  const tensor = (dims: number[], of: (i: number) => number) => ({
    dims,
    data: Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => of(i)),
  });
  const calibration = [{ x: tensor([1, 4, 8, 8], (i) => i / 3) }, { x: tensor([1, 4, 8, 8], () => -1) }];
  const deployment = await device.deploy!(doublingNetwork(), { signal, calibration });
  t.same(driver.calibration, calibration, 'inputs arrive bit for bit');
  t.match(deployment, { programCrc: 7, calibratedOn: '2 inputs' });
  // Three frames there, three back.
  const x = tensor([1, 150_000], Math.sin);
  const { y } = await device.runDeployed!(deployment, { x }, { signal });
  t.ok(isDeepStrictEqual(y, { dims: x.dims, data: x.data.map((value) => 2 * value) }));
  await device.reset!({ signal });
  await t.rejects(device.runDeployed!({ ...deployment, programCrc: 8 }, { x }, { signal }), {
    code: 'STATE_CONFLICT',
  });
  t.same(driver.calls, ['deploy', 'runDeployed', 'reset', 'runDeployed']);
  t.equal(agent.said('inputs'), 2, 'the same inputs are sent once');
  t.equal(bench.hub.counts.transfers, 1);
});

t.test('tensors as bytes come back as they were; anything else is refused', async (t) => {
  const name = fc.string({ maxLength: 20 }).filter((text) => text !== '__proto__');
  const tensor = fc.array(fc.nat({ max: 4 }), { maxLength: 4 }).chain((dims) => {
    const length = dims.reduce((a, b) => a * b, 1);
    const values = fc.array(fc.float({ noNaN: true }), { minLength: length, maxLength: length });
    return values.map((list) => ({ dims, data: Float32Array.from(list) }));
  });
  const sets = fc.array(fc.dictionary(name, tensor, { maxKeys: 4, noNullPrototype: true }), { maxLength: 4 });
  const refused = (bytes: Uint8Array): boolean => {
    try {
      unpackTensors(bytes);
      return false;
    } catch (thrown) {
      return asHildaError(thrown).code === 'MESSAGE_INVALID';
    }
  };
  fc.assert(
    fc.property(sets, (given) => {
      const bytes = packTensors(given);
      return (
        isDeepStrictEqual(unpackTensors(bytes), given) &&
        refused(bytes.subarray(0, -1)) &&
        refused(Uint8Array.of(...bytes, 0))
      );
    }),
    { numRuns: 50 },
  );
  t.ok(refused(Uint8Array.of(2, 0, 0, 0, 0x7b, 0x7d)), 'a head of another shape');
});

t.test("an agent's emulated board is measured and scored as one at home", async (t) => {
  const bench = await openHub(t);
  const driver = () => new EmulatedDriver({ boards: ['rp2040-pico'] });
  const agent = await startAgent(t, bench, driver());
  await until(() => bench.hub.agents().length === 1, 'the agent joined');
  const away = await open(bench.hub);
  const home = await openFirst(driver());
  t.teardown(() => home.close());

  const space = openSpace(findSpace('mbconv-fmnist', profilesFolder), profilesFolder);
  const weights = supernetWeights(join(profilesFolder, 'supernets'), space.id);
  const network = (seed: number) => space.network(space.sample(Xoshiro128.fromSeed(seed)), weights);
  for (const options of [{}, { ramBytes: 12_000 }]) {
    const there = await away.measure(network(5), contractProtocol, { signal, ...options });
    const here = await home.measure(network(5), contractProtocol, { signal, ...options });
    t.equal(there.verdict, 'valid', there.reason);
    t.equal(there.latency, null, 'no time of an emulated board');
    t.same(there.counts, here.counts);
    t.match(there.manifest, { ramLimitBytes: options.ramBytes ?? null, agent: bench.hub.agents()[0]!.id });
  }

  const folder = join(profilesFolder, 'datasets/fashion-mnist');
  const { pixels, count } = sliceImages(await readIdxImages(folder, 'validation'), 0, 60);
  const images = sliceImages(await readIdxImages(folder, 'calibration'), 0, 100);
  const runtime = new SessionProcess();
  t.teardown(() => runtime.stop());
  const examples = (batch: number): Examples => {
    const calibration = { values: images.pixels, count: images.count, batch };
    return {
      values: pixels,
      count,
      calibration,
      ranges: (graph, values) => exampleRanges(graph, values, calibration, runtime, { signal }),
    };
  };
  const answers = [];
  for (const [seed, batch] of [
    [5, 32],
    [6, 32],
    [5, 1],
  ] as const) {
    const there = await away.classify!(network(seed), examples(batch), { signal });
    t.same(
      there,
      await home.classify!(network(seed), examples(batch), { signal }),
      `network ${seed}, ${batch} a batch`,
    );
    answers.push(there.join());
  }
  t.not(answers[0], answers[1], 'networks that answer differently');
  t.equal(agent.said('inputs'), 1, 'the images crossed the link once');

  const torn: Examples = { ...examples(32), values: pixels.subarray(0, 59 * 784 + 1), count: 1 };
  await t.rejects(away.classify!(network(5), torn, { signal }), {
    code: /^(NETWORK_REJECTED|MESSAGE_INVALID)$/,
  });
  t.same((await away.classify!(network(5), examples(32), { signal })).join(), answers[0], 'and it goes on');
});

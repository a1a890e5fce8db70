import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import type { Device } from '../../daemon/devices/contract.js';
import { profilesFolder } from '../../daemon/devices/mcu/board-profile.js';
import { calibrateOn } from '../../daemon/devices/mcu/calibrate.js';
import { EmulatedDriver } from '../../daemon/devices/mcu/emulated-driver.js';
import { elementCount } from '../../daemon/network/graph.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import { randomWeights } from '../../daemon/search/spaces/parts/random-weights.js';
import { loadSpace } from '../../daemon/search/spaces/registry.js';
import { PicoFlashChip } from '../../firmware-bridge/emulator/pico-flash-chip.js';
import { BoardSession } from '../../firmware-bridge/link/index.js';
import { severalPorts } from '../compiler/networks.js';
import { contractProtocol, deviceContract, doublingNetwork } from '../contract/device-contract.js';
import { fillProgram } from '../link/tiny-program.js';
import { picoHere, picoId } from './pico-here.js';

t.setTimeout(900_000);
const { signal } = new AbortController();
const driver = (): EmulatedDriver => new EmulatedDriver({ boards: ['rp2040-pico'] });

async function open(): Promise<Device> {
  for await (const sighting of driver().discover({ signal })) return driver().open(sighting, { signal });
  throw new Error('no emulated Pico');
}

t.test('the emulated Pico keeps the contract', (t) => {
  const sound = doublingNetwork();
  const broken = { ...sound, nodes: sound.nodes.map((node) => ({ ...node, op: 'NoSuchOperator' })) };
  return deviceContract(t, driver, { broken, timeoutMs: 600_000, host: 'local' });
});

t.test('a deployment runs, survives a reset, and two Picos measure alike', async (t) => {
  const [device, other] = [await open(), await open()];
  t.teardown(() => Promise.all([device.close(), other.close()]));
  const network = doublingNetwork();
  const input = (seed: number) => ({
    x: { dims: [1, 4, 8, 8], data: Float32Array.from({ length: 256 }, (_, i) => ((i * seed) % 256) - 128) },
  });
  const deployment = await device.deploy?.(network, { signal, calibration: [input(1), input(3)] });
  if (!deployment) throw new Error('it cannot deploy');
  t.equal(deployment.calibratedOn, '2 inputs');
  const before = await device.runDeployed?.(deployment, input(7), { signal });
  await device.reset?.({ signal });
  t.same(await device.runDeployed?.(deployment, input(7), { signal }), before, 'after a reset');
  const output = Object.values(before ?? {})[0]?.data ?? [];
  const wrong = input(7).x.data.findIndex(
    (value, i) => Math.abs((output[i] ?? 0) - Math.max(0, 2 * value)) > 2,
  );
  t.equal(wrong, -1);
  const a = await device.measure(network, contractProtocol, { signal });
  t.same(
    (await device.runDeployed?.(deployment, input(7), { signal })) ?? {},
    before,
    'a measurement leaves it alone',
  );
  t.same((await other.measure(network, contractProtocol, { signal })).counts, a.counts);
  await t.rejects(
    Promise.resolve(other.runDeployed?.(deployment, input(7), { signal })),
    { code: 'STATE_CONFLICT' },
    'the other board holds nothing',
  );
});

t.test('the classes that are computed for a board are those that it answers', async (t) => {
  const device = await open();
  t.teardown(() => device.close());
  const space = loadSpace(
    JSON.parse(readFileSync(join(profilesFolder, 'spaces/mbconv-fmnist.json'), 'utf8')),
  );
  const network = space.network(space.seeds!()[0]!, randomWeights);
  const rng = Xoshiro128.fromSeed(3);
  const count = 120;
  // Patches of light here and there: random weights tell them apart.
  const values = Float32Array.from({ length: count * 784 }, (_, i) => {
    const [image, at] = [Math.floor(i / 784), i % 784];
    return Math.floor(at / 112) === image % 7 ? 2 * rng.next() : 0.3 * (image % 5) - 0.8;
  });
  const name = network.inputs[0]!.name;
  const example = (i: number) => ({
    [name]: { dims: [1, 1, 28, 28], data: values.slice(i * 784, (i + 1) * 784) },
  });
  const calibration = [0, 1, 2, 3].map(example);
  const { ranges } = calibrateOn({ calibration }, signal);
  const shown = { values: values.slice(0, 4 * 784), count: 4, batch: 1 };
  const examples = { values, count, ranges, calibration: shown };
  const classes = await device.classify?.(network, examples, { signal });
  t.equal(classes?.length, count);
  t.ok(new Set(classes).size > 1, 'more than one class');
  const deployment = await device.deploy!(network, { signal, calibration });
  for (const i of [0, 5, 41, 77, 119]) {
    const [output] = Object.values(await device.runDeployed!(deployment, example(i), { signal }));
    const logits = [...output!.data];
    t.equal(classes?.[i], logits.indexOf(Math.max(...logits)), `example ${i}`);
  }
  const controller = new AbortController();
  controller.abort();
  await t.rejects(device.classify!(network, examples, { signal: controller.signal }), {
    code: 'INTERRUPTED',
  });
});

t.test('several inputs and outputs, each by its name and in its own scale', async (t) => {
  const device = await open();
  t.teardown(() => device.close());
  const network = severalPorts(1);
  const rng = Xoshiro128.fromSeed(3);
  const inputs = Object.fromEntries(
    network.inputs.map(({ name, dims }) => {
      const sizes = dims as number[];
      const data = Float32Array.from({ length: elementCount(sizes) }, () => 2 * rng.next() - 1);
      return [name, { dims: sizes, data }];
    }),
  );
  const deployment = await device.deploy!(network, { signal, calibration: [inputs] });
  t.match(deployment, {
    input: { name: 'x' },
    moreInputs: [{ name: 'memory' }, { name: 'image', layout: 'channels-last' }],
    output: { name: 'memory.next' },
    moreOutputs: [{ name: 'mask' }, { name: 'logits' }],
  });
  const outputs = await device.runDeployed!(deployment, inputs, { signal });
  t.same(Object.keys(outputs), ['memory.next', 'mask', 'logits']);
  t.same(await device.run!(network, inputs, { signal }), outputs, 'calibrated on the same input');
  const runtime = new SessionProcess();
  t.teardown(() => runtime.stop());
  const { handle } = await runtime.load(writeOnnx(network), {}, { signal });
  const feeds = Object.entries(inputs).map(([name, tensor]) => [
    name,
    { type: 'float32' as const, ...tensor },
  ]);
  const wanted = await runtime.run(handle, Object.fromEntries(feeds), {}, { signal });
  for (const [name, { dims, data }] of Object.entries(outputs)) {
    const float = wanted[name]!.data as Float32Array;
    t.same(dims, network.outputs.find((output) => output.name === name)?.dims);
    const worst = Math.max(...data.map((value, i) => Math.abs(value - float[i]!)));
    const range = Math.max(...float) - Math.min(...float);
    t.ok(worst < 0.03 * range, `${name}: off by ${worst} of ${range}`);
  }
  const { memory: _, ...short } = inputs;
  await t.rejects(device.runDeployed!(deployment, short, { signal }), {
    code: 'REQUEST_INVALID',
    message: /"memory"/,
  });
  const examples = { values: new Float32Array(6), count: 1, ranges: async () => new Map() };
  const calibration = { values: new Float32Array(6), count: 1, batch: 1 };
  await t.rejects(device.classify!(network, { ...examples, calibration }, { signal }), {
    code: 'NETWORK_REJECTED',
  });
});

t.test('power lost within any write of its flash: the former deployment runs, or the new one', async (t) => {
  let operations = 0;
  let cutAt = Number.POSITIVE_INFINITY;
  const pico = picoHere({ keepsPower: () => operations++ !== cutAt });
  t.teardown(() => pico.stop());
  let nonces = 1;
  const session = new BoardSession({ transport: pico.uart, nonce: () => nonces++, patience: 5 });
  t.teardown(() => session.close());
  const output = async (): Promise<number | undefined> => {
    await session.run({ slot: 'deployed', limitMs: 1000, timeoutMs: 5000, signal });
    const bytes = await session.read(0, 64, { signal });
    t.ok(bytes.every((byte) => byte === bytes[0]));
    return bytes[0];
  };
  await session.hello({ signal });
  await session.deploy(fillProgram(1), { signal });
  const needed = operations;
  t.ok(needed >= 3, `${needed} writes`);
  let former = 1;
  for (let cut = 0; cut < needed; cut++) {
    cutAt = operations + cut;
    await t.rejects(session.deploy(fillProgram(50 + cut), { signal }));
    await session.hello({ signal });
    // The header's few bytes may be whole although its page is not: then the new one counts.
    const running = await output();
    const whole = cut === needed - 1 ? [former, 50 + cut] : [former];
    t.ok(whole.includes(running ?? -1), `cut at write ${cut}: ${running} runs`);
    former = running ?? former;
  }
  cutAt = Number.POSITIVE_INFINITY;
  await session.deploy(fillProgram(99), { signal });
  pico.machine.cutPower();
  await session.hello({ signal });
  t.equal(await output(), 99);
});

t.test(
  'the second boot stage: four data lines at half the clock, which the flash is set to once',
  async (t) => {
    const flash = new PicoFlashChip({ id: picoId, status2: 0x40 });
    const { machine, uart, stop } = picoHere({ flashChip: flash });
    t.teardown(stop);
    let nonces = 1;
    const session = new BoardSession({ transport: uart, nonce: () => nonces++, patience: 5 });
    t.teardown(() => session.close());
    const settled = { divider: 2, control: 0xa0002022 };
    const { chipId } = await session.hello({ signal });
    t.equal(chipId, `e6614c311b4c8f2d${'0'.repeat(16)}`, "the flash chip's number, read in between");
    t.same([flash.status2, flash.statusWrites, flash.continuous], [0x42, 1, true], 'other bits are kept');
    t.same(machine.flashReads, settled);
    await session.deploy(fillProgram(7), { signal });
    t.same([machine.flashReads, flash.continuous], [settled, true], 'as before once the flash was written');
    machine.cutPower();
    await session.hello({ signal });
    t.same([flash.statusWrites, flash.continuous, machine.flashReads], [1, true, settled]);
  },
);

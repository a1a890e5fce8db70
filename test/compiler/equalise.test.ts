import t from 'tap';
import { gaussian, Xoshiro128 } from '../../daemon/core/rng.js';
import { allFromBoard, allToBoard } from '../../daemon/devices/mcu/int8-tensors.js';
import { elementCount, floatTensor, type Graph } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import { valueRanges } from '../../daemon/runtime/value-ranges.js';
import { type Calibration, compile, Reference } from '../../firmware-bridge/compiler/index.js';
import { FixedGrids } from '../../firmware-bridge/compiler/lower/fixed-grids.js';
import { channelGroups } from '../../firmware-bridge/compiler/passes/channel-groups.js';
import { channelValues, equalised } from '../../firmware-bridge/compiler/passes/equalise.js';
import { prepare } from '../../firmware-bridge/compiler/passes/prepare.js';
import { roundedNetwork } from '../../firmware-bridge/compiler/passes/rounded-network.js';
import { fitted } from '../../firmware-bridge/compiler/quantise/fitted.js';
import { quantisationOf } from '../../firmware-bridge/compiler/quantise/quantisation.js';
import { board, drawn } from './agreement.js';

const { signal } = new AbortController();
const runtime = new SessionProcess();
t.teardown(() => runtime.stop());

/** Constants of layers whose channel c is 3^-(c mod 4) as large as others, and is read that much more; one is always zero. */
function uneven(b: GraphBuilder, seed: number) {
  const rng = Xoshiro128.fromSeed(seed);
  let count = 0;
  const gain = (c: number): number => (c === 5 ? 0 : 3 ** -(c % 4));
  const constant = (dims: readonly number[], of: (i: number) => number): string =>
    b.constant(
      `constant${count++}`,
      floatTensor(
        dims,
        Array.from({ length: elementCount(dims) }, (_, i) => of(i)),
      ),
    );
  const weights = (dims: readonly number[], axis: number, fanIn: number): string => {
    const inner = elementCount(dims.slice(axis + 1));
    return constant(
      dims,
      (i) => (gaussian(rng) * gain(Math.floor(i / inner) % (dims[axis] as number))) / Math.sqrt(fanIn),
    );
  };
  const random = (...dims: number[]): string => constant(dims, () => gaussian(rng) / 3);
  const reading = (dims: readonly number[], axis: number): string => {
    const inner = elementCount(dims.slice(axis + 1));
    return constant(
      dims,
      (i) => gaussian(rng) / 3 / (gain(Math.floor(i / inner) % (dims[axis] as number)) || 1),
    );
  };
  return { rng, constant, weights, reading, random, gain };
}

function images(seed: number): Graph {
  const b = new GraphBuilder({ name: 'uneven' });
  const { rng, constant, weights, reading, random, gain } = uneven(b, seed);
  const bias = (n: number): string => constant([n], (c) => 0.3 * gain(c));
  const slope = (n: number): string => constant([n, 1, 1], (c) => (c % 3) / 4);
  let x = b.input('x', 'float32', [1, 3, 8, 8]);
  x = b.node('PRelu', [b.conv(x, weights([10, 3, 3, 3], 0, 27), bias(10)), slope(10)]);
  x = b.node('PRelu', [b.conv(x, weights([10, 1, 3, 3], 0, 9), bias(10), { groups: 10 }), slope(10)]);
  const trunk = b.conv(x, weights([6, 10, 1, 1], 0, 10), bias(6));
  const gate = b.node('Sigmoid', [b.conv(b.globalAveragePool(trunk), random(6, 6, 1, 1))]);
  const gated = b.add(trunk, b.mul(trunk, gate));
  const across = constant(
    [6, 6, 1, 1],
    (i) => ((rng.next() - 0.5) * gain(Math.floor(i / 6))) / (gain(i % 6) || 1),
  );
  const branch = b.conv(gated, across);
  const sum = b.add(gated, branch);
  const scales = constant([4], (i) => (i < 2 ? 1 : 2));
  const wide = b.node('Resize', [sum, '', scales], { mode: 'nearest' });
  const up = b.node('ConvTranspose', [sum, weights([6, 6, 2, 2], 1, 6), bias(6)], { strides: [2, 2] });
  const pooled = b.node('MaxPool', [b.add(wide, up)], { kernel_shape: [2, 2], strides: [2, 2] });
  b.output(b.conv(pooled, reading([5, 6, 1, 1], 1), random(5)), 'y');
  return b.build();
}

function rows(seed: number): Graph {
  const b = new GraphBuilder({ name: 'rows' });
  const { constant, weights, reading, gain } = uneven(b, seed);
  const vector = (n: number): string => constant([n], (c) => gain(c));
  const norm = b.layerNorm(b.input('x', 'float32', [1, 6, 10]), vector(10), vector(10));
  const first = b.relu(b.add(b.matMul(norm, weights([10, 12], 1, 10)), vector(12)));
  b.output(b.matMul(first, reading([12, 5], 0)), 'y');
  return b.build();
}

const inputsOf = (graph: Graph, count: number) => {
  const rng = Xoshiro128.fromSeed(9);
  return Array.from({ length: count }, () => drawn(graph, rng));
};
const feedOf = (tensors: ReturnType<typeof drawn>) =>
  Object.fromEntries(
    Object.entries(tensors).map(([name, one]) => [name, { type: 'float32' as const, ...one }]),
  );

t.test('an equalised network computes what it did', async (t) => {
  for (const seed of [1, 2, 3]) {
    const graph = images(seed);
    const inputs = inputsOf(graph, 4).map(feedOf);
    const prepared = prepare(graph, { cost: { perMac: 1, perOutput: 0 }, lowRank: 'never' });
    const fixed = new FixedGrids(prepared);
    const isFixed = (value: string): boolean => fixed.of(value) !== undefined;
    const asked = fixed.unfixed();
    const groups = channelGroups(prepared, isFixed);
    const channels = channelValues(prepared, groups, isFixed, asked);
    const ranges = await valueRanges(graph, asked, inputs, runtime, { signal, channels });
    const made = equalised(prepared, ranges, groups, asked);
    t.ok(made.prepared.graph.initializers.size > 0);
    t.not(made.prepared, prepared, 'something was scaled');
    const answers = await Promise.all(
      [graph, made.prepared.graph].map(async (one) => {
        const { handle } = await runtime.load(writeOnnx(one), {}, { signal });
        const { y } = await runtime.run(handle, inputs[0] ?? {}, {}, { signal });
        return Array.from(y?.data ?? [], Number);
      }),
    );
    const [before = [], after = []] = answers;
    const largest = before.reduce((a, x) => Math.max(a, Math.abs(x)), 0);
    t.ok(
      before.every((x, i) => Math.abs(x - (after[i] as number)) < 1e-4 * largest),
      `seed ${seed}`,
    );
    // The ranges are those of the scaled network.
    const seen = await valueRanges(made.prepared.graph, asked, inputs, runtime, { signal });
    for (const [name, { min, max }] of seen) {
      const { min: low, max: high } = made.ranges.get(name) ?? { min: 0, max: 0 };
      const off = Math.max(Math.abs(min - low), Math.abs(max - high)) / (max - min);
      t.ok(off < 1e-3, `${name}: ${min} to ${max} for ${low} to ${high}`);
    }
  }
});

t.test('channels of unlike size lose less', async (t) => {
  for (const [graph, gain] of [
    [images(1), 2],
    [images(2), 2],
    [rows(1), 1.5],
  ] as const) {
    const inputs = inputsOf(graph, 24);
    const { handle } = await runtime.load(writeOnnx(graph), {}, { signal });
    const errorOf = async (withChannels: boolean): Promise<number> => {
      const calibration: Calibration = (g, values, channels) =>
        valueRanges(g, values, inputs.slice(0, 16).map(feedOf), runtime, {
          signal,
          ...(withChannels && { channels }),
        });
      const compiled = await compile(graph, { board, weights: 'real', calibration });
      const reference = new Reference(compiled.program);
      let [error, size] = [0, 0];
      for (const tensors of inputs.slice(16)) {
        const { y: wanted } = await runtime.run(handle, feedOf(tensors), {}, { signal });
        const { y } = allFromBoard(reference.run(allToBoard(tensors, compiled.inputs)), compiled.outputs);
        y?.data.forEach((value, i) => {
          error += (value - Number(wanted?.data[i])) ** 2;
          size += Number(wanted?.data[i]) ** 2;
        });
      }
      return Math.sqrt(error / size);
    };
    const [plain, equal] = [await errorOf(false), await errorOf(true)];
    t.ok(equal < plain / gain, `${graph.name}: ${equal} for ${plain}`);
    await runtime.release(handle, { signal });
  }
});

t.test('a range leaves out what a large sample does not hold', (t) => {
  const counts = new Array<number>(512).fill(0);
  for (let i = 0; i < 20_000; i++) counts[Math.floor(((4 * Math.sin(i) + 5) / 20) * 512)]! += 1;
  // A sample from -4 to 4 of a value that was once seen at 15.
  const seen = { min: -5, max: 15, histogram: counts };
  const cut = fitted(seen, seen);
  t.ok(cut.max >= 3.9 && cut.max < 6 && cut.min <= -3.9, `${cut.min} to ${cut.max}`);
  const relu = { f: (x: number) => Math.min(1, Math.max(0, x)), y: quantisationOf({ min: 0, max: 1 }) };
  const far = { ...seen, histogram: counts.map((count, i) => (i === 511 ? 20 : count)) };
  t.same(fitted(far, far).max, 15, 'far elements that are not rare stay');
  t.ok(fitted(far, far, relu).max < 15, 'what the reader does not tell apart costs nothing');
  const few = { ...seen, histogram: counts.map((count) => Math.floor(count / 100)) };
  t.same(fitted(few, few), few, 'a small sample says nothing of what is rare');
  t.same(fitted({ min: -5, max: 15 }, { min: -5, max: 15 }), { min: -5, max: 15 }, 'nothing is known');
  t.end();
});

t.test('what rounding takes from weights is given back by the bias', async (t) => {
  const b = new GraphBuilder({ name: 'means' });
  const rng = Xoshiro128.fromSeed(4);
  let count = 0;
  const random = (...dims: number[]): string =>
    b.constant(
      `constant${count++}`,
      floatTensor(
        dims,
        Array.from({ length: elementCount(dims) }, () => gaussian(rng)),
      ),
    );
  // One weight of each output is so large that the steps of the others are wide.
  const wide = (outputs: number, depth: number, ...rest: number[]): string => {
    const values = Array.from({ length: outputs * depth }, (_, i) => (i % depth === 0 ? 40 : gaussian(rng)));
    return b.constant(`constant${count++}`, floatTensor([outputs, ...rest], values));
  };
  const x = b.input('x', 'float32', [1, 4, 5, 7]);
  const deep = b.conv(x, wide(4, 25, 1, 5, 5), random(4), { groups: 4 });
  const grouped = b.conv(x, wide(6, 18, 2, 3, 3), random(6), { groups: 2, stride: 2 });
  const dense = b.conv(x, wide(3, 36, 4, 3, 3), undefined, { pad: 0 });
  for (const [name, value] of Object.entries({ deep, grouped, dense }))
    b.output(b.node('ReduceMean', [value], { axes: [2, 3], keepdims: 0 }), name);
  const matrix = Array.from({ length: 7 * 4 }, (_, i) => (i < 4 ? 40 : gaussian(rng)));
  b.output(
    b.matMul(b.input('r', 'float32', [1, 4, 5, 7]), b.constant('matrix', floatTensor([7, 4], matrix))),
    'rows',
  );
  const graph = b.build();
  const inputs = Array.from({ length: 12 }, () => drawn(graph, rng, () => 2 + gaussian(rng) / 4));
  const { handle } = await runtime.load(writeOnnx(graph), {}, { signal });
  const errorsOf = async (known: boolean): Promise<ReadonlyMap<string, number>> => {
    const calibration: Calibration = async (g, values, channels) => {
      const ranges = await valueRanges(g, values, inputs.map(feedOf), runtime, { signal, channels });
      return known ? ranges : new Map([...ranges].map(([name, { min, max }]) => [name, { min, max }]));
    };
    const compiled = await compile(graph, { board, weights: 'real', calibration });
    const reference = new Reference(compiled.program);
    const errors = new Map<string, number>();
    for (const tensors of inputs) {
      const wanted = await runtime.run(handle, feedOf(tensors), {}, { signal });
      const given = allFromBoard(reference.run(allToBoard(tensors, compiled.inputs)), compiled.outputs);
      for (const [name, { data }] of Object.entries(given))
        data.forEach((value, i) => {
          const off = (value - Number(wanted[name]?.data[i])) ** 2;
          errors.set(name, (errors.get(name) ?? 0) + off);
        });
    }
    return errors;
  };
  const [plain, corrected] = [await errorsOf(false), await errorsOf(true)];
  for (const [name, error] of corrected) {
    const before = plain.get(name) ?? 0;
    t.ok(error < before / 4, `${name}: ${error} for ${before}`);
  }
  t.equal(corrected.size, 4);
});

t.test('what rounding takes from values is given back by the bias', async (t) => {
  const b = new GraphBuilder({ name: 'rounded' });
  const rng = Xoshiro128.fromSeed(6);
  const constant = (name: string, dims: readonly number[], of: (i: number) => number): string =>
    b.constant(
      name,
      floatTensor(
        dims,
        Array.from({ length: elementCount(dims) }, (_, i) => of(i)),
      ),
    );
  const x = b.input('x', 'float32', [1, 4, 6, 6]);
  // The first channel is so large that what the others hold lies within a step.
  const wide = b.conv(
    x,
    constant('first', [8, 4, 1, 1], (i) => (i < 4 ? 8 : (rng.next() - 0.5) / 8)),
    constant('shift', [8], (c) => (c === 0 ? 0 : 0.1)),
  );
  const bent = b.mul(wide, b.node('Sigmoid', [wide]));
  const shared = b.mul(bent, b.node('Tanh', [bent]));
  const second = b.conv(
    b.add(shared, bent),
    constant('second', [6, 8, 3, 3], (i) => (i % 72 < 9 ? 0.01 : rng.next())),
  );
  b.output(b.node('ReduceMean', [second], { axes: [2, 3], keepdims: 0 }), 'y');
  const graph = b.build();
  const inputs = Array.from({ length: 32 }, () => drawn(graph, rng));
  const { handle } = await runtime.load(writeOnnx(graph), {}, { signal });
  const errorOf = async (again: boolean): Promise<number> => {
    let asked = 0;
    const calibration: Calibration = async (g, values, channels) => {
      asked++;
      if (asked > 1 && !again) return new Map();
      return valueRanges(g, values, inputs.slice(0, 16).map(feedOf), runtime, { signal, channels });
    };
    const compiled = await compile(graph, { board, weights: 'real', calibration });
    t.equal(asked, 2, 'the rounded network is calibrated too');
    const reference = new Reference(compiled.program);
    let error = 0;
    for (const tensors of inputs.slice(16)) {
      const wanted = await runtime.run(handle, feedOf(tensors), {}, { signal });
      const { y } = allFromBoard(reference.run(allToBoard(tensors, compiled.inputs)), compiled.outputs);
      y?.data.forEach((value, i) => {
        error += (value - Number(wanted.y?.data[i])) ** 2;
      });
    }
    return error;
  };
  const [plain, corrected] = [await errorOf(false), await errorOf(true)];
  t.ok(corrected < plain / 3, `${corrected} for ${plain}`);
});

t.test('the rounded copy of a network', async (t) => {
  const b = new GraphBuilder({ name: 'copy' });
  const x = b.input('x', 'float32', [1, 2, 1, 2]);
  const conv = b.conv(x, b.constant('w', floatTensor([2, 2, 1, 1], [1, 0, 0, 1])));
  b.output(b.node('Abs', [conv]), 'y');
  const graph = b.build();
  const quantisation = { scale: 0.5, zeroPoint: 0 };
  const copy = roundedNetwork(
    graph,
    new Map([
      ['x', { quantisation }],
      [conv, { quantisation, along: { axis: 1, rank: 4, factors: Float64Array.of(1, 4) } }],
    ]),
  );
  const shown = copy as NonNullable<typeof copy>;
  const names = ['x', conv, 'y'].map((name) => shown.rounded.get(name) as string);
  const made = {
    ...shown.graph,
    outputs: names.map((name) => ({ name, dtype: 'float32' as const, dims: [1, 2, 1, 2] })),
  };
  const { handle } = await runtime.load(writeOnnx(made), {}, { signal });
  const feed = {
    x: { type: 'float32' as const, dims: [1, 2, 1, 2], data: Float32Array.of(0.3, -90, 1.3, 3) },
  };
  const answer = await runtime.run(handle, feed, {}, { signal });
  const of = (i: number): number[] => Array.from(answer[names[i] as string]?.data ?? [], Number);
  t.same(of(0), [0.5, -64, 1.5, 3], 'in steps, within 8 bits');
  t.same(of(1), [0.5, -64, 2, 4], 'a layer answers as before, and its channels have steps of their own');
  t.same(of(2), [0.5, 64, 2, 4], 'what is no layer takes the rounded values');
  await runtime.release(handle, { signal });
  const old = { ...graph, opset: 7 };
  t.equal(roundedNetwork(old, new Map()), undefined);
  const branch = { ...graph, nodes: graph.nodes.map((node) => ({ ...node, attributes: { body: graph } })) };
  t.equal(roundedNetwork(branch, new Map()), undefined);
});

import t from 'tap';
import { gaussian, Xoshiro128 } from '../../daemon/core/rng.js';
import { floatTensor, type Graph } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import { envelopes, outside } from '../agreement/envelope.js';
import { int8Answer } from '../agreement/int8-stage.js';
import { nearTies } from '../agreement/near-ties.js';
import type { Given } from '../agreement/onnxruntime.js';

/** What random graphs are held to: no narrower than 8 bits are, and no wider. */
const runtime = new SessionProcess();
t.teardown(() => runtime.stop());

const [rows, width] = [21, 7];
const weights = [-0.5, 1.2, 1.29, -0.35, 0.62, 1.38, 0.77];

/** Instance normalisation spelt out, then a mean of its elements times weights. */
function spelledNorm(): Graph {
  const b = new GraphBuilder({ name: 'norm', opset: 12 });
  const scalar = (name: string, value: number) => b.constant(name, floatTensor([], Float32Array.of(value)));
  const over = { axes: [2, 3], keepdims: 1 };
  const x = b.input('x', 'float32', [1, 2, rows / width, width]);
  const centred = b.node('Sub', [x, b.node('ReduceMean', [x], over)]);
  const variance = b.node('ReduceMean', [b.node('Pow', [centred, scalar('two', 2)])], over);
  const root = b.node('Sqrt', [b.node('Add', [variance, scalar('epsilon', 1e-5)])]);
  const scale = b.constant('weights', floatTensor([width], Float32Array.from(weights)));
  b.output(
    b.node('GlobalAveragePool', [b.node('Mul', [b.node('Div', [centred, root]), scale])], {}, { name: 'y' }),
  );
  return b.build();
}

type Round = (value: number) => number;

/** To the nearest of the 256 steps that a range with 0 in it has; what lies outside saturates. */
function grid(values: Iterable<number>): Round {
  const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
  const step = (high - low) / 255;
  const below = Math.round(-low / step);
  return (value) => Math.max(-below, Math.min(255 - below, Math.round(value / step))) * step;
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b) / values.length;

/** The same network by hand, for each channel: every value is passed on as `round` holds it. */
function byHand(x: ArrayLike<number>, round: (name: string, value: number) => number): number[] {
  return [0, 1].map((channel) => {
    const given = Array.from({ length: rows }, (_, i) => round('x', x[channel * rows + i] as number));
    const middle = round('mean', mean(given));
    const centred = given.map((value) => round('centred', value - middle));
    const variance = round('variance', mean(centred.map((value) => round('square', value * value))));
    const root = round('root', Math.sqrt(round('raised', variance + 1e-5)));
    const inverse = round('inverse', 1 / root);
    const scaled = centred.map((value, i) =>
      round('scaled', round('quotient', value * inverse) * (weights[i % width] as number)),
    );
    return round('y', mean(scaled));
  });
}

t.test('a variance below the steps of its scale: the envelope holds what the roundings give', async (t) => {
  const graph = spelledNorm();
  const model = writeOnnx(graph);
  for (let seed = 1; seed <= 20; seed++) {
    const rng = Xoshiro128.fromSeed(seed);
    const data = Float32Array.from({ length: 2 * rows }, (_, i) =>
      i < rows ? 0.6 * gaussian(rng) : 0.011 * gaussian(rng) - 0.45,
    );
    const feeds: Record<string, Given> = { x: { type: 'float32', dims: [1, 2, rows / width, width], data } };
    const seen = new Map<string, number[]>();
    byHand(data, (name, value) => {
      seen.set(name, [...(seen.get(name) ?? []), value]);
      return value;
    });
    const grids = new Map([...seen].map(([name, values]) => [name, grid(values)]));
    const rounded = byHand(data, (name, value) => (grids.get(name) as Round)(value));
    const { run, outputs } = await int8Answer(graph, feeds, runtime);
    const step = run.compiled.outputs[0]?.quantisation.scale ?? 0;
    const found = [...(outputs.y?.data ?? [])].map(Number);
    const envelope = (await envelopes(model, feeds))?.get('y');
    if (!envelope) throw new Error('onnxruntime does not run the disturbed network');
    t.equal(outside(envelope, found, step), undefined, `the int8 reference, seed ${seed}`);
    t.equal(outside(envelope, rounded, step), undefined, `by hand, seed ${seed}`);
    // The wide channel has hundreds of steps: a tenth of its deviation is no rounding.
    t.match(
      outside(envelope, [(found[0] as number) + 0.1, found[1] as number], step),
      /^element 0/,
      `a fault, seed ${seed}`,
    );
  }
});

const bytes = (dtype: 'uint8' | 'int8', dims: readonly number[], values: readonly number[]) => ({
  dtype,
  dims,
  data: new Uint8Array(values.map((value) => value & 255)),
});

/** One of the operators with zero points 0, 128 and 3; its scales are those of x, of the weights and of the output. */
function scaledSum(op: string, dims: readonly number[], scales: readonly number[], bias?: readonly number[]) {
  const b = new GraphBuilder({ name: 'sums', opset: 13 });
  const [xScale, wScale, yScale] = scales.map((value, i) =>
    b.constant(`scale${i}`, floatTensor([], Float32Array.of(value))),
  ) as [string, string, string];
  const zero = (value: number) => b.constant(`zero${value}`, bytes('uint8', [], [value]));
  const w = b.constant(
    'w',
    op === 'QLinearConv' ? bytes('uint8', [2, 1, 1, 1], [255, 255]) : bytes('uint8', [2, 1], [255, 127]),
  );
  const x = b.input('x', 'uint8', dims);
  const inputs = [x, xScale, zero(0), w, wScale, zero(128), yScale, zero(3)];
  const data = new Uint8Array(Int32Array.from(bias ?? []).buffer);
  if (bias) inputs.push(b.constant('bias', { dtype: 'int32', dims: [bias.length], data }));
  b.output(b.node(op, inputs, {}, { name: 'y' }));
  return b.build();
}

const given = (dims: readonly number[], values: readonly number[]) => ({
  x: { type: 'uint8' as const, dims, data: Uint8Array.from(values) },
});

t.test('of two integers either is right where float32 cannot tell, and nowhere else', async (t) => {
  // 10922 / 508 is 21.5; with the scales as float32 has them 21.49999992, and the float32 product 21.5 again.
  const scales = [1 / 127, 1 / 127, 4 / 127].map(Math.fround);
  const dims = [3, 2];
  const feeds = given(dims, [86, 0, 86, 1, 85, 0]);
  const graph = scaledSum('QLinearMatMul', dims, scales);
  const model = writeOnnx(graph);
  t.same([...((await nearTies(model, feeds)).get('y') ?? [])], [[0, [24, 25]]]);
  const envelope = (await envelopes(model, feeds))?.get('y');
  if (!envelope) throw new Error('onnxruntime does not run the network');
  t.same([...envelope.exact], [25, 24, 24]);
  for (const [values, why] of [
    [[24, 24, 24], undefined],
    [[25, 24, 24], undefined],
    [[23, 24, 24], /^element 0/],
    [[26, 24, 24], /^element 0/],
    [[25, 25, 24], /^element 1/],
    [[25, 24, 25], /^element 2/],
  ] as const)
    t.match(outside(envelope, values, scales[2] as number) ?? 'none', why ?? 'none', `${values}`);
  const { outputs } = await int8Answer(graph, feeds, runtime);
  t.equal(outside(envelope, outputs.y?.data ?? [], scales[2] as number), undefined, `${outputs.y?.data}`);
});

t.test('a bias moves the middle for its own channel; sums below 0 have one too', async (t) => {
  const dims = [1, 1, 1, 2];
  const graph = scaledSum('QLinearConv', dims, [1, 1, 508], [0, -1]);
  // Sums 10922 and 2286, then one less; and -254 of a bias alone.
  t.same(
    [...((await nearTies(writeOnnx(graph), given(dims, [86, 18]))).get('y') ?? [])],
    [
      [0, [24, 25]],
      [1, [7, 8]],
    ],
  );
  const biased = scaledSum('QLinearConv', dims, [1, 1, 508], [1, -254]);
  t.same([...((await nearTies(writeOnnx(biased), given(dims, [0, 86]))).get('y') ?? [])], [[2, [2, 3]]]);
});

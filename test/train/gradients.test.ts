import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { gaussian, Xoshiro128 } from '../../daemon/core/rng.js';
import { elementCount, floatsOf, floatTensor, type Graph, int64Tensor } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';
import { withBatch } from '../../daemon/network/with-batch.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import type { RuntimeTensors } from '../../daemon/runtime/messages.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import { loadSpace } from '../../daemon/search/spaces/registry.js';
import { channelMajor } from '../../daemon/train/differentiation/channel-major.js';
import { Tape, trainableOperators } from '../../daemon/train/differentiation/tape.js';
import { trainingGraph } from '../../daemon/train/differentiation/training-graph.js';
import { oneHot } from '../../daemon/train/targets.js';
import { tensorsOf } from '../../daemon/train/weights/initial-weights.js';

const runtime = new SessionProcess();
t.teardown(() => runtime.stop());

const rng = Xoshiro128.fromSeed(7);
const normal = (count: number): Float32Array => Float32Array.from({ length: count }, () => gaussian(rng));

async function run(
  graph: Graph,
  feeds: Readonly<Record<string, readonly [readonly number[], Float32Array]>>,
) {
  const { handle } = await runtime.load(writeOnnx(graph));
  const tensors: RuntimeTensors = Object.fromEntries(
    Object.entries(feeds).map(([name, [dims, data]]) => [name, { type: 'float32' as const, dims, data }]),
  );
  const answers = await runtime.run(handle, tensors);
  await runtime.release(handle);
  return (name: string): Float32Array => answers[name]?.data as Float32Array;
}

/** One operator under test: the inputs that a gradient is wanted for, and how it is applied to them. */
interface Case {
  readonly inputs: readonly (readonly number[])[];
  readonly apply: (b: GraphBuilder, inputs: readonly string[]) => Parameters<Tape['apply']>[0];
  /** Maps a normal draw to the operator's domain, away from its kinks. */
  readonly domain?: (value: number) => number;
  readonly outputs?: number;
}

const node = (
  op: string,
  inputs: readonly string[],
  attributes: Readonly<Record<string, number | string | readonly number[]>> = {},
  outputs = 1,
) => ({
  name: op,
  op,
  domain: '',
  inputs,
  outputs: Array.from({ length: outputs }, (_, i) => `y${i}`),
  attributes,
});
const unary = (op: string, attributes = {}, domain?: (value: number) => number): Case => ({
  inputs: [[3, 4]],
  apply: (_, [x]) => node(op, [x as string], attributes),
  ...(domain && { domain }),
});
const binary = (op: string, right: readonly number[], domain?: (value: number) => number): Case => ({
  inputs: [[2, 3, 4], right],
  apply: (_, inputs) => node(op, inputs),
  ...(domain && { domain }),
});
/** Keeps a distance from the points where a slope jumps, so that a finite difference never straddles one. */
const awayFrom =
  (...kinks: readonly number[]) =>
  (value: number): number => {
    const near = kinks.find((kink) => Math.abs(value - kink) < 0.1);
    return near === undefined ? value : near + (value < near ? -0.1 : 0.1);
  };
const positive = (value: number): number => 0.5 + Math.abs(value);
const vectors = (b: GraphBuilder, name: string, data: readonly number[]): string =>
  b.constant(name, floatTensor([data.length], data));

const conv = (
  x: readonly number[],
  weight: readonly number[],
  attributes: Readonly<Record<string, number | string | readonly number[]>>,
  bias?: readonly number[],
): Case => ({
  inputs: [x, weight, ...(bias ? [bias] : [])],
  apply: (_, inputs) => node('Conv', inputs, attributes),
});

const cases: Readonly<Record<string, readonly Case[]>> = {
  Identity: [unary('Identity')],
  Dropout: [unary('Dropout')],
  Add: [binary('Add', [2, 3, 4]), binary('Add', [4]), binary('Add', [3, 1])],
  Sub: [binary('Sub', [3, 4]), binary('Sub', [])],
  Mul: [binary('Mul', [2, 3, 4]), binary('Mul', [3, 1])],
  Div: [binary('Div', [2, 3, 4], positive), binary('Div', [4], positive)],
  Neg: [unary('Neg')],
  Clip: [
    {
      inputs: [[3, 5]],
      apply: (b, [x]) => node('Clip', [x as string, b.scalar(-0.5), b.scalar(0.7)]),
      domain: awayFrom(-0.5, 0.7),
    },
  ],
  Relu: [unary('Relu', {}, awayFrom(0))],
  Sigmoid: [unary('Sigmoid')],
  Tanh: [unary('Tanh')],
  Erf: [unary('Erf')],
  Exp: [unary('Exp')],
  Sqrt: [unary('Sqrt', {}, positive)],
  HardSigmoid: [unary('HardSigmoid', { alpha: 0.25, beta: 0.5 }, awayFrom(-2, 2))],
  HardSwish: [unary('HardSwish', {}, (value) => awayFrom(-3, 3)(3 * value))],
  Reshape: [{ inputs: [[2, 6]], apply: (b, [x]) => node('Reshape', [x as string, b.ints([3, 4])]) }],
  Flatten: [{ inputs: [[2, 3, 2]], apply: (_, [x]) => node('Flatten', [x as string], { axis: 1 }) }],
  Squeeze: [{ inputs: [[2, 1, 3]], apply: (b, [x]) => node('Squeeze', [x as string, b.ints([1])]) }],
  Unsqueeze: [{ inputs: [[2, 3]], apply: (b, [x]) => node('Unsqueeze', [x as string, b.ints([0])]) }],
  Transpose: [
    { inputs: [[2, 3, 4]], apply: (_, [x]) => node('Transpose', [x as string], { perm: [2, 0, 1] }) },
    unary('Transpose'),
  ],
  Concat: [
    {
      inputs: [
        [2, 3],
        [2, 2],
      ],
      apply: (_, inputs) => node('Concat', inputs, { axis: 1 }),
    },
  ],
  Split: [
    {
      inputs: [[2, 5]],
      apply: (b, [x]) => node('Split', [x as string, b.ints([2, 3])], { axis: 1 }, 2),
      outputs: 2,
    },
  ],
  Slice: [
    {
      inputs: [[4, 5]],
      apply: (b, [x]) => node('Slice', [x as string, b.ints([1]), b.ints([4]), b.ints([1])]),
    },
    {
      inputs: [[4, 5]],
      apply: (b, [x]) => node('Slice', [x as string, b.ints([-3]), b.ints([4]), b.ints([0])]),
    },
  ],
  MatMul: [
    {
      inputs: [
        [3, 4],
        [4, 2],
      ],
      apply: (_, inputs) => node('MatMul', inputs),
    },
    {
      inputs: [
        [2, 3, 4],
        [4, 5],
      ],
      apply: (_, inputs) => node('MatMul', inputs),
    },
    {
      inputs: [
        [2, 3, 3, 4],
        [2, 3, 4, 2],
      ],
      apply: (_, inputs) => node('MatMul', inputs),
    },
    {
      inputs: [
        [3, 4],
        [2, 4, 5],
      ],
      apply: (_, inputs) => node('MatMul', inputs),
    },
  ],
  Gemm: [0, 1].flatMap((transA) =>
    [0, 1].map(
      (transB): Case => ({
        inputs: [transA ? [4, 3] : [3, 4], transB ? [2, 4] : [4, 2], [2]],
        apply: (_, inputs) => node('Gemm', inputs, { transA, transB, alpha: 1.5, beta: 0.5 }),
      }),
    ),
  ),
  Softmax: [unary('Softmax', { axis: -1 }), unary('Softmax', { axis: 0 })],
  BatchNormalization: [
    {
      inputs: [[4, 3, 2, 2], [3], [3]],
      apply: (b, [x, scale, bias]) =>
        node('BatchNormalization', [
          x as string,
          scale as string,
          bias as string,
          vectors(b, 'mean', [9, 9, 9]),
          vectors(b, 'variance', [9, 9, 9]),
        ]),
    },
  ],
  LayerNormalization: [
    {
      inputs: [[2, 3, 5], [5], [5]],
      apply: (_, inputs) => node('LayerNormalization', inputs, { axis: -1 }),
    },
  ],
  ReduceMean: [
    {
      inputs: [[2, 3, 4]],
      apply: (_, [x]) => node('ReduceMean', [x as string], { axes: [1], keepdims: 0 }),
    },
    {
      inputs: [[2, 3, 4]],
      apply: (_, [x]) => node('ReduceMean', [x as string], { axes: [-1, 0], keepdims: 1 }),
    },
  ],
  Conv: [
    // Depthwise; grouped; full with a bias; stride and padding that leave a row over; SAME padding of both kinds; one and three axes.
    conv([2, 3, 6, 5], [3, 1, 3, 3], { group: 3, pads: [1, 1, 1, 1] }),
    conv([2, 4, 5, 5], [6, 2, 3, 3], { group: 2, pads: [0, 1, 1, 0] }),
    conv([2, 3, 6, 6], [4, 3, 3, 2], {}, [4]),
    conv([2, 2, 8, 7], [2, 1, 3, 3], { group: 2, strides: [3, 2], pads: [1, 0, 0, 1] }),
    conv([1, 2, 9, 8], [3, 2, 2, 3], { strides: [2, 3], dilations: [2, 1] }),
    conv([2, 3, 7, 6], [3, 1, 3, 3], { group: 3, strides: [2, 2], auto_pad: 'SAME_UPPER' }),
    conv([1, 2, 6, 7], [2, 2, 4, 4], { strides: [2, 1], auto_pad: 'SAME_LOWER' }),
    conv([2, 3, 9], [4, 3, 3], { strides: [2], pads: [1, 1] }),
    conv([1, 2, 4, 4, 3], [2, 1, 2, 2, 2], { group: 2 }),
  ],
  GlobalAveragePool: [
    { inputs: [[2, 3, 2, 2]], apply: (_, [x]) => node('GlobalAveragePool', [x as string]) },
  ],
};

t.test('every operator: the gradient is the slope', async (t) => {
  t.same(Object.keys(cases).sort(), trainableOperators, 'every trainable operator is checked');
  for (const [op, list] of Object.entries(cases)) {
    for (const [i, one] of list.entries()) {
      const b = new GraphBuilder({ name: op });
      const tape = new Tape(b);
      const inputs = one.inputs.map((dims, k) => b.input(`x${k}`, 'float32', dims));
      for (const input of inputs) tape.watch(input);
      const outputs = tape.apply(one.apply(b, inputs));
      // A scalar function of all outputs: their product with fixed random weights, squared so that slopes vary.
      const parts = outputs.map((output, k) => {
        const dims = b.dimsOf(output);
        const weight = b.constant(`weight${k}`, floatTensor(dims, normal(elementCount(dims))));
        const [w, y] = [tape.apply(node('Mul', [output, weight]))[0] as string, output];
        const product = tape.apply(node('Mul', [w, y]))[0] as string;
        return tape.apply(node('Reshape', [product, b.ints([1, elementCount(dims)])]))[0] as string;
      });
      const all =
        parts.length === 1
          ? (parts[0] as string)
          : (tape.apply(node('Concat', parts, { axis: 1 }))[0] as string);
      const mean = tape.apply(node('ReduceMean', [all], { axes: [1], keepdims: 1 }))[0] as string;
      b.output(mean, 'value');
      const gradients = tape.backward(mean, b.constant('one', floatTensor([1, 1], [1])));
      inputs.forEach((input, k) => {
        b.output(gradients.get(input) as string, `gradient${k}`);
      });
      const graph = b.build();
      const { domain = (value: number) => value } = one;
      const at = one.inputs.map((dims) => normal(elementCount(dims)).map(domain));
      const directions = one.inputs.map((dims) => normal(elementCount(dims)));
      const feeds = (shift: number) =>
        Object.fromEntries(
          one.inputs.map((dims, k) => [
            `x${k}`,
            [dims, at[k]!.map((value, j) => value + shift * directions[k]![j]!)] as const,
          ]),
        );
      const here = await run(graph, feeds(0));
      const slope = inputs.reduce(
        (sum, _, k) => sum + here(`gradient${k}`).reduce((s, g, j) => s + g * directions[k]![j]!, 0),
        0,
      );
      const step = 5e-3;
      const [above, below] = [await run(graph, feeds(step)), await run(graph, feeds(-step))];
      const difference = (above('value')[0]! - below('value')[0]!) / (2 * step);
      const error = Math.abs(slope - difference) / Math.max(0.05, Math.abs(difference));
      t.ok(error < 2e-3, `${op} ${i}: slope ${slope}, difference ${difference}`);
    }
  }
});

/** A depthwise convolution and its gradients by their definition, in double precision: no operator of a runtime. */
function directDepthwise(
  [n, c, h, w]: readonly [number, number, number, number],
  k: number,
  stride: number,
  { x, weight, dy }: { readonly x: Float32Array; readonly weight: Float32Array; readonly dy: Float32Array },
) {
  const pad = Math.floor(k / 2);
  const [oh, ow] = [h, w].map((size) => Math.floor((size + 2 * pad - k) / stride) + 1) as [number, number];
  const y = new Float64Array(n * c * oh * ow);
  const dx = new Float64Array(x.length);
  const dw = new Float64Array(weight.length);
  for (let image = 0; image < n * c; image++)
    for (let out = 0; out < oh * ow; out++)
      for (let tap = 0; tap < k * k; tap++) {
        const row = Math.floor(out / ow) * stride - pad + Math.floor(tap / k);
        const column = (out % ow) * stride - pad + (tap % k);
        if (row < 0 || row >= h || column < 0 || column >= w) continue;
        const from = image * h * w + row * w + column;
        const by = (image % c) * k * k + tap;
        const to = image * oh * ow + out;
        y[to] = (y[to] as number) + (x[from] as number) * (weight[by] as number);
        dx[from] = (dx[from] as number) + (dy[to] as number) * (weight[by] as number);
        dw[by] = (dw[by] as number) + (dy[to] as number) * (x[from] as number);
      }
  return { y, dx, dw, oh, ow };
}

t.test(
  'depthwise layers of 28 x 28 to 96 x 96 train, and the gradient is that of the definition',
  async (t) => {
    for (const [size, kernel, stride] of [
      [28, 3, 1],
      [28, 7, 2],
      [33, 5, 2],
      [56, 3, 1],
      [96, 3, 2],
      [96, 5, 1],
    ] as const) {
      const dims = [2, 4, size, size] as const;
      const x = normal(elementCount(dims));
      const weight = normal(4 * kernel * kernel);
      const { oh, ow } = directDepthwise(dims, kernel, stride, {
        x,
        weight,
        dy: new Float32Array(elementCount(dims)),
      });
      const dy = normal(2 * 4 * oh * ow);
      const b = new GraphBuilder({ name: 'depthwise' });
      const tape = new Tape(b);
      const [input, filter] = [
        b.input('x', 'float32', dims),
        b.input('w', 'float32', [4, 1, kernel, kernel]),
      ];
      tape.watch(input);
      tape.watch(filter);
      const pad = Math.floor(kernel / 2);
      const [y] = tape.apply(
        node('Conv', [input, filter], { group: 4, strides: [stride, stride], pads: [pad, pad, pad, pad] }),
      );
      const upstream = b.input('dy', 'float32', b.dimsOf(y as string));
      const gradients = tape.backward(y as string, upstream);
      b.output(y as string, 'y');
      b.output(gradients.get(input) as string, 'dx');
      b.output(gradients.get(filter) as string, 'dw');
      const got = await run(b.build(), {
        x: [dims, x],
        w: [[4, 1, kernel, kernel], weight],
        dy: [b.dimsOf(upstream), dy],
      });
      const wanted = directDepthwise(dims, kernel, stride, { x, weight, dy });
      for (const name of ['y', 'dx', 'dw'] as const) {
        const scale = Math.max(...wanted[name].map(Math.abs));
        const worst = wanted[name].reduce(
          (most, value, i) => Math.max(most, Math.abs(value - (got(name)[i] as number))),
          0,
        );
        t.ok(
          worst < 1e-5 * scale,
          `${name} of ${size}, kernel ${kernel}, stride ${stride}: ${worst} of ${scale}`,
        );
      }
    }
  },
);

t.test('a classifier with depthwise layers at 96 x 96 has the slope that its gradient says', async (t) => {
  const b = new GraphBuilder({ name: 'large' });
  const parameters = new Map<string, readonly number[]>([
    ['stem', [8, 3, 3, 3]],
    ['deep', [8, 1, 3, 3]],
    ['point', [12, 8, 1, 1]],
    ['full', [6, 12, 3, 3]],
    ['head', [6, 5]],
  ]);
  const tensor = (name: string): string => {
    const dims = parameters.get(name) as readonly number[];
    return b.constant(
      name,
      floatTensor(
        dims,
        normal(elementCount(dims)).map((value) => value / 4),
      ),
    );
  };
  const image = b.input('images', 'float32', [1, 3, 96, 96]);
  const stem = b.node('Tanh', [b.conv(image, tensor('stem'), undefined, { stride: 1, pad: 1 })]);
  const deep = b.node('Tanh', [b.conv(stem, tensor('deep'), undefined, { stride: 1, pad: 1, groups: 8 })]);
  const point = b.node('Tanh', [b.conv(deep, tensor('point'))]);
  const full = b.conv(point, tensor('full'), undefined, { stride: 2, pad: 1 });
  b.output(b.matMul(b.node('Flatten', [b.globalAveragePool(full)], { axis: 1 }), tensor('head')));
  const network = b.build();
  const {
    graph,
    parameters: laid,
    parameterCount,
  } = trainingGraph(network, {
    batch: 2,
    trainable: parameters.keys(),
  });
  t.equal(laid.length, 5);
  const at = new Float32Array(parameterCount);
  for (const { name, offset } of laid) at.set(floatsOf(network.initializers.get(name)!), offset);
  const images = normal(2 * 3 * 96 * 96);
  const evaluate = (weights: Float32Array) =>
    run(graph, {
      images: [[2, 3, 96, 96], images],
      targets: [[2, 5], oneHot(Uint8Array.of(1, 3), 5, 0)],
      weights: [[parameterCount], weights],
    });
  const gradient = (await evaluate(at))('gradient');
  for (const { name, offset, dims } of laid) {
    const own = gradient.map((value, i) => (i >= offset && i < offset + elementCount(dims) ? value : 0));
    const norm = Math.sqrt(own.reduce((sum, value) => sum + value * value, 0));
    const step = 0.02;
    const lossAt = async (shift: number) =>
      (await evaluate(at.map((value, i) => value + (shift * own[i]!) / norm)))('loss')[0]!;
    const slope = ((await lossAt(step)) - (await lossAt(-step))) / (2 * step);
    t.ok(Math.abs(slope - norm) < 0.02 * norm, `${name}: slope ${slope}, gradient ${norm}`);
  }
});

t.test('what an operator cannot do in training is told with its numbers', async (t) => {
  const limits = [
    [
      node('Slice', ['x', 'from', 'to', 'axis', 'step']),
      /Slice is trained with step 1 only; this one has step 2/,
    ],
    [
      node('LayerNormalization', ['x', 'scale'], { axis: 1 }),
      /over the last axis \(2\) only; this one is over 2 axes/,
    ],
    [node('MatMul', ['x', 'vector']), /MatMul is trained with 2 or more axes only; this one has 1/],
  ] as const;
  for (const [one, message] of limits) {
    const b = new GraphBuilder({ name: 'limits' });
    const tape = new Tape(b);
    tape.watch(b.input('x', 'float32', [2, 3, 4]));
    b.constant('from', int64Tensor([0]));
    b.constant('to', int64Tensor([4]));
    b.constant('axis', int64Tensor([2]));
    b.constant('step', int64Tensor([2]));
    b.constant('scale', floatTensor([3, 4], new Float32Array(12)));
    b.constant('vector', floatTensor([4], [1, 2, 3, 4]));
    t.throws(() => tape.apply(one), { code: 'OPERATOR_UNSUPPORTED', message });
  }
});

t.test('an operator without a gradient is named', async (t) => {
  const b = new GraphBuilder({ name: 'none' });
  const tape = new Tape(b);
  tape.watch(b.input('x', 'float32', [2, 2]));
  t.throws(() => tape.apply(node('Cos', ['x'])), {
    code: 'OPERATOR_UNSUPPORTED',
    details: { operator: 'Cos' },
  });
});

const profiles = fileURLToPath(new URL('../../../profiles', import.meta.url));
const spaceNamed = (name: string) =>
  loadSpace(JSON.parse(readFileSync(`${profiles}/spaces/${name}.json`, 'utf8')));

t.test('the channel-major layout computes the same', async (t) => {
  const space = spaceNamed('mbconv-fmnist');
  for (const seed of [1, 2, 3]) {
    const network = withBatch(space.network(space.sample(Xoshiro128.fromSeed(seed))), 4);
    const images = [[4, 1, 28, 28], normal(4 * 784)] as const;
    const plain = (await run(network, { input: images }))('logits');
    const lowered = channelMajor(network);
    const output = lowered.outputs[0]!.name;
    const other = (await run(lowered, { [lowered.inputs[0]!.name]: images }))(output);
    const scale = Math.max(...plain.map(Math.abs));
    const worst = Math.max(...plain.map((value, i) => Math.abs(value - other[i]!)));
    t.ok(worst < 1e-4 * scale, `seed ${seed}: ${worst} of ${scale}`);
  }
});

for (const name of ['mbconv-fmnist', 'vit-fmnist']) {
  t.test(`${name}: the whole network's gradient is the loss's slope`, async (t) => {
    const space = spaceNamed(name);
    const architecture = space.sample(Xoshiro128.fromSeed(11));
    const network = space.network(architecture);
    const batch = 8;
    const { graph, parameters, parameterCount } = trainingGraph(network, {
      batch,
      trainable: tensorsOf(space, architecture).keys(),
    });
    const at = new Float32Array(parameterCount);
    for (const { name: tensor, offset } of parameters)
      at.set(floatsOf(network.initializers.get(tensor)!), offset);
    const labels = Uint8Array.from({ length: batch }, (_, i) => i % 10);
    const images = normal(batch * 784);
    const evaluate = (weights: Float32Array) =>
      run(graph, {
        images: [[batch, 1, 28, 28], images],
        targets: [[batch, 10], oneHot(labels, 10, 0)],
        weights: [[parameterCount], weights],
      });
    const gradient = (await evaluate(at))('gradient');
    const norm = Math.sqrt(gradient.reduce((sum, value) => sum + value * value, 0));
    // Along the gradient the slope is its norm; a random direction adds what that one may miss.
    const noise = normal(parameterCount);
    const direction = gradient.map(
      (value, i) => value / norm + (0.3 * noise[i]!) / Math.sqrt(parameterCount),
    );
    const expected = gradient.reduce((sum, value, i) => sum + value * direction[i]!, 0);
    const step = 0.01 / Math.max(1, norm);
    const lossAt = async (shift: number) =>
      (await evaluate(at.map((value, i) => value + shift * direction[i]!)))('loss')[0]!;
    const slope = ((await lossAt(step)) - (await lossAt(-step))) / (2 * step);
    t.ok(Math.abs(slope - expected) < 0.02 * Math.abs(expected), `slope ${slope}, gradient ${expected}`);
  });
}

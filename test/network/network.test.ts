import fc from 'fast-check';
import onnxProto from 'onnx-proto';
import t from 'tap';
import { HildaError } from '../../daemon/core/errors.js';
import { canonicalText, structureHash, weightsHash } from '../../daemon/network/canonical-text.js';
import { costFeatures, countCost } from '../../daemon/network/cost.js';
import { generatedSigns, seedOfName, signsName } from '../../daemon/network/generated-signs.js';
import { floatsOf, floatTensor, type Graph, int64Tensor, type Node } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';
import { inferShapes } from '../../daemon/network/infer-shapes.js';
import { checkNetworkLimits } from '../../daemon/network/limits.js';
import { readOnnx } from '../../daemon/network/read-onnx.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';

const weights = (dims: number[], seed = 1): ReturnType<typeof floatTensor> =>
  floatTensor(
    dims,
    Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i * 1.7 + seed)),
  );

/** A small network that uses most of the builder: convolutions, normalisation, attention-like products. */
function sample(): Graph {
  const b = new GraphBuilder({ name: 'sample' });
  const x = b.input('image', 'float32', [1, 3, 16, 16]);
  const stem = b.clip(
    b.conv(x, b.constant('stem.w', weights([8, 3, 3, 3])), b.constant('stem.b', weights([8])), { stride: 2 }),
    0,
    6,
  );
  const bn = b.batchNorm(
    stem,
    ...(['s', 'b', 'm', 'v'].map((n) => b.constant(`bn.${n}`, floatTensor([8], Array(8).fill(1)))) as [
      string,
      string,
      string,
      string,
    ]),
  );
  const dw = b.hardSwish(b.conv(bn, b.constant('dw.w', weights([8, 1, 5, 5])), undefined, { groups: 8 }));
  const sum = b.add(dw, bn);
  const tokens = b.transpose(b.reshape(sum, [1, 8, 64]), [0, 2, 1]);
  const norm = b.layerNorm(tokens, b.constant('ln.s', weights([8])), b.constant('ln.b', weights([8])));
  const scores = b.softmax(b.matMul(norm, b.transpose(norm, [0, 2, 1])));
  const [left, right] = b.split(b.gelu(b.matMul(scores, norm)), 2, [3, 5]);
  const joined = b.concat([left as string, right as string], 2);
  const pooled = b.reshape(b.reduceMean(joined, [1], 0), [1, 8]);
  b.output(
    b.gemm(pooled, b.constant('head.w', weights([10, 8])), b.constant('head.b', weights([10]))),
    'logits',
  );
  return b.build();
}

const code = (run: () => unknown): string => {
  try {
    run();
    return 'nothing thrown';
  } catch (error) {
    return error instanceof HildaError ? error.code : String(error);
  }
};

t.test('a graph survives writing and reading, bit for bit', async (t) => {
  const graph = sample();
  const back = readOnnx(writeOnnx(graph));
  // Attributes are float32 in the file: one write rounds them, from then on nothing changes.
  t.ok(Buffer.from(writeOnnx(back)).equals(Buffer.from(writeOnnx(graph))));
  t.same(
    back.nodes.map((n) => [n.name, n.op, n.inputs, n.outputs]),
    graph.nodes.map((n) => [n.name, n.op, n.inputs, n.outputs]),
  );
  t.same(back.inputs, graph.inputs);
  t.same(back.outputs, graph.outputs);
  t.same([...back.initializers.keys()], [...graph.initializers.keys()]);
  for (const [name, tensor] of graph.initializers)
    t.same([...(back.initializers.get(name)?.data ?? [])], [...tensor.data], name);
  fc.assert(
    fc.property(
      fc.array(fc.float({ noNaN: true }), { minLength: 1, maxLength: 40 }),
      fc.array(fc.integer({ min: -(2 ** 40), max: 2 ** 40 }), { minLength: 1 }),
      (floats, ints) => {
        const b = new GraphBuilder({ name: 'p' });
        const w = b.constant('w', floatTensor([floats.length], floats));
        b.constant('i', int64Tensor(ints));
        b.output(b.add(b.input('x', 'float32', [1]), w));
        const read = readOnnx(writeOnnx(b.build()));
        return (
          Buffer.from(read.initializers.get('w')!.data).equals(
            Buffer.from(floatTensor([floats.length], floats).data),
          ) && Buffer.from(read.initializers.get('i')!.data).equals(Buffer.from(int64Tensor(ints).data))
        );
      },
    ),
    { numRuns: 50 },
  );
});

t.test('constants read from a file are the constants written', async (t) => {
  const graph = sample();
  // A Buffer view into a pool, as reading a file gives it.
  const back = readOnnx(Buffer.from(writeOnnx(graph)));
  t.same(floatsOf(back.initializers.get('stem.w')!), floatsOf(graph.initializers.get('stem.w')!));
  t.same(
    [...inferShapes(back)].map(([name, { dims }]) => [name, dims]),
    [...inferShapes(graph)].map(([name, { dims }]) => [name, dims]),
  );
  t.equal(structureHash(back), structureHash(graph));
  t.equal(weightsHash(back), weightsHash(graph));

  const { onnx } = onnxProto;
  const longMax = onnx.TensorProto.decode(Uint8Array.from([0x3a, 9, ...Array(8).fill(255), 127]))
    .int64Data[0]!;
  const typed = onnx.ModelProto.encode({
    irVersion: 8,
    opsetImport: [{ domain: '', version: 17 }],
    graph: {
      output: [{ name: 'y' }],
      node: [{ opType: 'Identity', input: ['f'], output: ['y'] }],
      initializer: [
        { name: 'f', dataType: 1, dims: [2], floatData: [1.5, -2] },
        { name: 'd', dataType: 11, dims: [1], doubleData: [0.1] },
        { name: 'b', dataType: 3, dims: [2], int32Data: [-1, 7] },
        { name: 'end', dataType: 7, dims: [1], int64Data: [longMax] },
      ],
    },
  }).finish();
  const read = readOnnx(typed).initializers;
  t.same([...floatsOf(read.get('f')!)], [1.5, -2]);
  t.same([...new Float64Array(read.get('d')!.data.slice().buffer)], [0.1]);
  t.same([...read.get('b')!.data], [255, 7]);
  t.equal(
    new BigInt64Array(read.get('end')!.data.slice().buffer)[0],
    2n ** 63n - 1n,
    'INT64_MAX does not wrap',
  );
  const external = onnx.ModelProto.decode(typed);
  external.graph!.initializer![0]!.externalData = [{ key: 'location', value: 'weights.bin' }];
  t.equal(
    code(() => readOnnx(onnx.ModelProto.encode(external).finish())),
    'EXTERNAL_DATA_MISSING',
  );
});

t.test('whatever bytes arrive, reading answers or throws ONNX_INVALID', async (t) => {
  const bytes = writeOnnx(sample());
  for (const cut of [0, 1, 7, bytes.length >> 1, bytes.length - 1])
    t.equal(
      code(() => readOnnx(bytes.slice(0, cut))),
      'ONNX_INVALID',
      `cut at ${cut}`,
    );
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.integer({ min: 0, max: bytes.length - 1 }),
      fc.integer({ min: 0, max: 255 }),
      (noise, at, value) => {
        const flipped = bytes.slice();
        flipped[at] = value;
        return [noise, flipped].every((data) =>
          ['ONNX_INVALID', 'nothing thrown'].includes(code(() => readOnnx(data))),
        );
      },
    ),
    { numRuns: 300 },
  );
  const graph = sample();
  t.equal(
    code(() => readOnnx(writeOnnx({ ...graph, nodes: graph.nodes.slice(1) }))),
    'ONNX_INVALID',
    'an undefined value',
  );
  t.equal(
    code(() => readOnnx(writeOnnx({ ...graph, nodes: [...graph.nodes].reverse() }))),
    'ONNX_INVALID',
    'not in order',
  );
});

t.test('shapes', async (t) => {
  const shapes = inferShapes(sample());
  t.same(shapes.get('Conv_0')?.dims, [1, 8, 8, 8]);
  t.same(shapes.get('logits')?.dims, [1, 10]);
  const cases: [
    op: string,
    dims: number[][],
    attributes: Node['attributes'],
    constants: (number[] | undefined)[],
    want: number[],
  ][] = [
    [
      'Conv',
      [
        [1, 4, 9, 9],
        [6, 2, 3, 3],
      ],
      { group: 2, strides: [2, 2], pads: [1, 1, 1, 1] },
      [],
      [1, 6, 5, 5],
    ],
    [
      'Conv',
      [
        [1, 4, 9, 9],
        [6, 4, 3, 3],
      ],
      { auto_pad: 'SAME_UPPER', strides: [2, 2] },
      [],
      [1, 6, 5, 5],
    ],
    [
      'Conv',
      [
        [1, 4, 9, 9],
        [6, 4, 3, 3],
      ],
      { dilations: [2, 2] },
      [],
      [1, 6, 5, 5],
    ],
    ['MaxPool', [[1, 4, 8, 8]], { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 }, [], [1, 4, 4, 4]],
    ['AveragePool', [[1, 4, 8, 8]], { kernel_shape: [3, 3], strides: [2, 2] }, [], [1, 4, 3, 3]],
    [
      'Gemm',
      [
        [5, 3],
        [7, 5],
      ],
      { transA: 1, transB: 1 },
      [],
      [3, 7],
    ],
    [
      'MatMul',
      [
        [2, 1, 4, 5],
        [3, 5, 6],
      ],
      {},
      [],
      [2, 3, 4, 6],
    ],
    ['MatMul', [[5], [5, 6]], {}, [], [6]],
    [
      'Add',
      [
        [2, 1, 4],
        [3, 1],
      ],
      {},
      [],
      [2, 3, 4],
    ],
    ['Reshape', [[2, 3, 4], [2]], {}, [undefined, [0, -1]], [2, 12]],
    ['Transpose', [[2, 3, 4]], { perm: [2, 0, 1] }, [], [4, 2, 3]],
    ['Slice', [[10, 8], [1], [1], [1], [1]], {}, [undefined, [8], [-9], [0], [-3]], [3, 8]],
    ['Slice', [[10, 8], [1], [1], [1]], {}, [undefined, [2], [100], [1]], [10, 6]],
    ['Pad', [[1, 2], [4]], {}, [undefined, [0, 1, 0, 2]], [1, 5]],
    [
      'Gather',
      [
        [5, 6],
        [2, 2],
      ],
      { axis: 1 },
      [],
      [5, 2, 2],
    ],
    ['Unsqueeze', [[3, 4], [2]], {}, [undefined, [0, -1]], [1, 3, 4, 1]],
    ['Squeeze', [[1, 3, 1], [1]], {}, [undefined, [-1]], [1, 3]],
    ['Flatten', [[2, 3, 4]], { axis: 2 }, [], [6, 4]],
    ['ReduceMean', [[2, 3, 4]], { axes: [-1], keepdims: 0 }, [], [2, 3]],
    ['ReduceSum', [[2, 3, 4], [1]], {}, [undefined, [1]], [2, 1, 4]],
    ['Resize', [[1, 2, 4, 4], [0], [4]], {}, [undefined, [], [1, 1, 2, 2]], [1, 2, 8, 8]],
    ['Expand', [[3, 1], [3]], {}, [undefined, [2, 1, 4]], [2, 3, 4]],
    ['GlobalAveragePool', [[1, 8, 5, 5]], {}, [], [1, 8, 1, 1]],
  ];
  for (const [op, dims, attributes, constants, want] of cases) {
    const b = new GraphBuilder({ name: op });
    const inputs = dims.map((d, i) => {
      const values = constants[i];
      if (!values) return b.input(`x${i}`, 'float32', d);
      return b.constant(
        `c${i}`,
        values.every(Number.isInteger) && op !== 'Resize'
          ? int64Tensor(values)
          : floatTensor([values.length], values),
      );
    });
    t.same(b.dimsOf(b.node(op, inputs, attributes)), want, `${op} ${JSON.stringify(dims)}`);
  }
});

t.test('mistakes have codes', async (t) => {
  const b = new GraphBuilder({ name: 'wrong' });
  const x = b.input('x', 'float32', [1, 3, 8, 8]);
  t.equal(
    code(() => b.conv(x, b.constant('w', weights([4, 2, 3, 3])))),
    'ONNX_INVALID',
  );
  t.equal(
    code(() => b.add(x, b.input('y', 'float32', [5]))),
    'ONNX_INVALID',
  );
  t.equal(
    code(() => b.reshape(x, [7, -1])),
    'ONNX_INVALID',
  );
  t.equal(
    code(() => b.node('constructor', [x])),
    'OPERATOR_UNSUPPORTED',
  );
  t.equal(
    code(() => b.node('Reshape', [x, b.input('target', 'int64', [2])])),
    'SHAPE_UNKNOWN',
  );
  t.equal(
    code(() => b.node('ConstantOfShape', [b.ints([-4])])),
    'ONNX_INVALID',
    'a negative size',
  );
  t.equal(
    code(() => b.node('Slice', [x, b.ints([0]), b.ints([1]), b.ints([1]), b.ints([0])])),
    'ONNX_INVALID',
    'a step of 0',
  );
  t.equal(
    code(() => b.node('Relu', ['nowhere'])),
    'ONNX_INVALID',
  );
  const graph = sample();
  const open = { ...graph, inputs: graph.inputs.map((input) => ({ ...input, dims: ['N', 3, 16, 16] })) };
  t.equal(
    code(() => inferShapes(open)),
    'SHAPE_UNKNOWN',
  );
  const bomb = new GraphBuilder({ name: 'bomb' });
  const shape = bomb.constant('shape', int64Tensor([65536, 65536]));
  bomb.output(bomb.node('ConstantOfShape', [shape]));
  t.equal(
    code(() => checkNetworkLimits(bomb.build())),
    'NETWORK_TOO_LARGE',
  );
});

t.test('costs against hand counts', async (t) => {
  const b = new GraphBuilder({ name: 'count' });
  const x = b.input('x', 'float32', [1, 4, 8, 8]);
  const y = b.conv(x, b.constant('w', weights([6, 4, 3, 3])), b.constant('b', weights([6])), {
    stride: 2,
    name: 'conv',
  });
  const z = b.relu(y);
  const d = b.conv(z, b.constant('dw', weights([6, 1, 3, 3])), undefined, { groups: 6 });
  b.output(b.add(d, z));
  const cost = countCost(b.build());
  t.equal(cost.macs, 6 * 4 * 4 * 4 * 9 + 6 * 4 * 4 * 9);
  t.equal(cost.parameters, 6 * 4 * 9 + 6 + 54);
  t.equal(cost.weightBytes, 4 * cost.parameters);
  // The convolution holds its input (256 floats) and output (96); the residual sum holds three maps of 96.
  t.same(
    cost.operators.map((o) => o.liveBytes / 4),
    [352, 192, 192, 288],
  );
  t.equal(cost.peakActivationBytes, 4 * 352);
  t.equal(cost.peakOperator, 'conv');
  const features = costFeatures(cost);
  t.equal(features.get('macs'), cost.macs);
  t.equal(features.get('Conv 1x6x4x4 > 1x6x4x4 k3x3 s1x1 g6'), 1);
});

t.test('signs of a seed', async (t) => {
  // Words of the streams, from an implementation of ABI.md's text in another language: four bits an input, from below.
  const streams: readonly (readonly [number, number, readonly number[]])[] = [
    [1, 0, [0x64a60b73, 0x1ccf0b77, 0x49932147]],
    [1, 5, [0xa42a216e, 0xe0f5bccd, 0xbaead81b]],
    [0xffffffff, 0, [0xb482179b, 0x385098c3, 0x42554187]],
    // Where splitmix32 answers 0.
    [0x61c88647, 0, [0x510c4619, 0xe02e553e, 0x7bb98f3a]],
  ];
  for (const [seed, block, words] of streams) {
    const signs = generatedSigns(seed, 4, 24, 4 * block);
    const found = words.map((_, t) =>
      Array.from({ length: 32 }, (_, bit) =>
        signs[(bit % 4) * 24 + 8 * t + (bit >> 2)] === -1 ? 2 ** bit : 0,
      ).reduce((a, b) => a + b),
    );
    t.same(found, words, `seed ${seed}, block ${block}`);
  }
  t.same(
    generatedSigns(3, 37, 50),
    generatedSigns(3, 200, 50).subarray(0, 37 * 50),
    'fewer are the first of more',
  );
  t.same(
    generatedSigns(3, 6, 50, 12),
    generatedSigns(3, 20, 50).subarray(12 * 50, 18 * 50),
    'any block on its own',
  );
  for (const [name, seed] of [
    [signsName(0), 0],
    [signsName(0xffffffff), 0xffffffff],
    ['generated.signs.12.transposed', 12],
    ['generated.signs.4294967296', undefined],
    ['generated.signs.1x', undefined],
    ['generated.signs.', undefined],
    ['my.generated.signs.1', undefined],
  ] as const)
    t.equal(seedOfName(name), seed, name);
});

t.test('signs project as coins would', async (t) => {
  const [outputs, depth] = [256, 784];
  for (const seed of [0, 1, 2]) {
    const signs = generatedSigns(seed, outputs, depth);
    // Correlations of all pairs of outputs, and of inputs: of coins, their mean is 0 and their variance 1 / n.
    const products = (count: number, n: number, at: (which: number, i: number) => number): number[] => {
      const all: number[] = [];
      for (let a = 0; a < count; a++)
        for (let b = 0; b < a; b++) {
          let sum = 0;
          for (let i = 0; i < n; i++) sum += at(a, i) * at(b, i);
          all.push(sum / Math.sqrt(n));
        }
      return all;
    };
    for (const [what, all] of [
      ['outputs', products(outputs, depth, (j, i) => signs[j * depth + i] as number)],
      ['inputs', products(200, outputs, (i, j) => signs[j * depth + i] as number)],
    ] as const) {
      const pairs = all.length;
      const mean = all.reduce((sum, z) => sum + z, 0) / pairs;
      const variance = all.reduce((sum, z) => sum + z * z, 0) / pairs;
      // Six standard deviations of what coins give.
      t.ok(Math.abs(mean) < 6 / Math.sqrt(pairs), `${what} of ${seed}: mean ${mean}`);
      t.ok(Math.abs(variance - 1) < 6 * Math.sqrt(2 / pairs), `${what} of ${seed}: variance ${variance}`);
      t.ok(
        all.every((z) => Math.abs(z) < 6),
        `${what} of ${seed}: no two are alike`,
      );
    }
    const balance = signs.reduce((sum, sign) => sum + sign, 0) / Math.sqrt(signs.length);
    t.ok(Math.abs(balance) < 6, `${balance}`);
  }
});

t.test('structure and weights hash apart', async (t) => {
  const graph = sample();
  const rename = (name: string): string => (name === '' ? '' : `z_${[...name].reverse().join('')}`);
  const renamed: Graph = {
    ...graph,
    inputs: graph.inputs.map((v) => ({ ...v, name: rename(v.name) })),
    outputs: graph.outputs.map((v) => ({ ...v, name: rename(v.name) })),
    initializers: new Map([...graph.initializers].reverse().map(([name, tensor]) => [rename(name), tensor])),
    nodes: graph.nodes.map((n) => ({
      ...n,
      name: 'same',
      inputs: n.inputs.map(rename),
      outputs: n.outputs.map(rename),
    })),
  };
  t.equal(canonicalText(renamed), canonicalText(graph));
  t.equal(weightsHash(renamed), weightsHash(graph));

  // Two branches in either order.
  const branches = (flip: boolean): Graph => {
    const b = new GraphBuilder({ name: 'branches' });
    const x = b.input('x', 'float32', [1, 4]);
    const make = [() => b.relu(x), () => b.node('Tanh', [x])];
    const [p, q] = flip ? [make[1]!(), make[0]!()].reverse() : [make[0]!(), make[1]!()];
    b.output(b.node('Sub', [p as string, q as string]));
    return b.build();
  };
  t.equal(structureHash(branches(true)), structureHash(branches(false)));

  const attribute = {
    ...graph,
    nodes: graph.nodes.map((n) => (n.op === 'Softmax' ? { ...n, attributes: { axis: 1 } } : n)),
  };
  t.not(structureHash(attribute), structureHash(graph));
  const other = {
    ...graph,
    initializers: new Map(graph.initializers).set('stem.w', weights([8, 3, 3, 3], 2)),
  };
  t.equal(structureHash(other), structureHash(graph));
  t.not(weightsHash(other), weightsHash(graph));

  const reshaped = (target: number[]): Graph => {
    const b = new GraphBuilder({ name: 'reshaped' });
    b.output(
      b.node('Reshape', [b.input('x', 'float32', [2, 12]), b.constant('target', int64Tensor(target))]),
    );
    return b.build();
  };
  t.not(
    structureHash(reshaped([4, 6])),
    structureHash(reshaped([6, 4])),
    'a target is structure, not weight',
  );
  const [first] = reshaped([4, 6]).nodes;
  const cycle = { ...reshaped([4, 6]), nodes: [{ ...first!, inputs: [first!.outputs[0]!, 'target'] }] };
  t.equal(
    code(() => structureHash(cycle)),
    'ONNX_INVALID',
  );

  // An If whose branches read different values of the graph around it is another network; it reads and writes.
  const branching = (reads: string): Graph => {
    const branch: Graph = {
      name: 'b',
      opset: 17,
      inputs: [],
      outputs: [{ name: 'r', dtype: 'float32', dims: [] }],
      initializers: new Map(),
      nodes: [{ name: '', op: 'Neg', domain: '', inputs: [reads], outputs: ['r'], attributes: {} }],
    };
    const node = (
      op: string,
      inputs: string[],
      output: string,
      attributes: Node['attributes'] = {},
    ): Node => ({ name: output, op, domain: '', inputs, outputs: [output], attributes });
    return {
      name: 'if',
      opset: 17,
      inputs: [
        { name: 'c', dtype: 'bool', dims: [] },
        { name: 'x', dtype: 'float32', dims: [] },
      ],
      outputs: [{ name: 'y', dtype: 'float32', dims: [] }],
      initializers: new Map(),
      nodes: [
        node('Exp', ['x'], 'p'),
        node('Tanh', ['x'], 'q'),
        node('If', ['c'], 'y', { then_branch: branch, else_branch: branch }),
      ],
    };
  };
  t.not(structureHash(branching('p')), structureHash(branching('q')));
  t.equal(structureHash(readOnnx(writeOnnx(branching('p')))), structureHash(branching('p')));
  t.equal(
    code(() => readOnnx(writeOnnx(branching('nowhere')))),
    'ONNX_INVALID',
  );
});

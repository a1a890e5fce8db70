import t from 'tap';
import { costFeatures, countCost, countKnownCost } from '../../daemon/network/cost.js';
import { floatTensor, type Graph, int64Tensor, type Node, type Tensor } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';
import { inferKnownShapes, inferShapes } from '../../daemon/network/infer-shapes.js';
import { checkNetworkLimits } from '../../daemon/network/limits.js';
import { code, weights } from './sample.js';

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

const node = (
  op: string,
  inputs: string[],
  outputs: string[],
  attributes: Node['attributes'] = {},
): Node => ({
  name: '',
  op,
  domain: '',
  inputs,
  outputs,
  attributes,
});

const graphOf = (
  nodes: Node[],
  initializers: Record<string, Tensor>,
  dims: (number | string)[] = [1, 3, 8, 8],
): Graph => ({
  name: 'g',
  opset: 17,
  inputs: [{ name: 'x', dtype: 'float32', dims }],
  outputs: [{ name: 'y', dtype: 'float32', dims: [] }],
  initializers: new Map(Object.entries(initializers)),
  nodes,
});

t.test('weights count once, wherever they stand', async (t) => {
  const weight = weights([4, 3, 3, 3]);
  const conv = (from: string): Node => node('Conv', ['x', from], ['y']);
  const plain = countCost(graphOf([conv('w')], { w: weight }));
  t.equal(plain.macs, 4 * 36 * 27);
  t.equal(plain.parameters, 108);
  t.equal(plain.weightBytes, 432);
  t.equal(plain.peakActivationBytes, 4 * (192 + 144));
  t.same(countCost(graphOf([node('Constant', [], ['w'], { value: weight }), conv('w')], {})), plain);

  const flat = { ...weight, dims: [108] };
  const spread = graphOf(
    [
      node('Identity', ['a'], ['b']),
      node('Reshape', ['b', 'sizes'], ['c']),
      node('Cast', ['c'], ['w'], { to: 1 }),
      conv('w'),
    ],
    { a: flat, sizes: int64Tensor([4, 3, 3, 3]) },
  );
  const { parameters, weightBytes, peakActivationBytes, operators } = countCost(spread);
  t.same([parameters, weightBytes, peakActivationBytes], [108, 432 + 32, plain.peakActivationBytes]);
  t.equal(operators.at(-1)?.key, plain.operators[0]?.key, 'a weight that is rearranged is no activation');

  // Int8 weights, dequantised: 108 of them, a scale and a zero point.
  const int8: Tensor = { dtype: 'int8', dims: [4, 3, 3, 3], data: new Uint8Array(108) };
  const zero: Tensor = { dtype: 'int8', dims: [], data: new Uint8Array(1) };
  const quantised = countCost(
    graphOf([node('DequantizeLinear', ['q', 's', 'z'], ['w']), conv('w')], {
      q: int8,
      s: floatTensor([], [0.1]),
      z: zero,
    }),
  );
  t.same(
    [quantised.parameters, quantised.weightBytes, quantised.peakActivationBytes],
    [110, 108 + 5, plain.peakActivationBytes],
  );

  const shared = graphOf(
    [node('Conv', ['x', 'w'], ['p'], { pads: [1, 1, 1, 1] }), node('Conv', ['p', 'w'], ['y'])],
    {
      w: weights([3, 3, 3, 3]),
    },
  );
  t.same([countCost(shared).parameters, countCost(shared).weightBytes], [81, 324]);
  const structure = graphOf([node('Resize', ['x', '', 'scales'], ['y'])], {
    scales: floatTensor([4], [1, 1, 2, 2]),
  });
  t.same(
    [countCost(structure).parameters, countCost(structure).weightBytes],
    [0, 16],
    'scales are no parameters',
  );
});

t.test('products of other operators', async (t) => {
  const macsOf = (op: string, dims: number[][], attributes: Node['attributes'] = {}, domain = ''): number => {
    const b = new GraphBuilder({ name: op });
    const inputs = dims.map((d, i) => b.input(`x${i}`, 'float32', d));
    b.output(b.node(op, inputs, attributes, { domain }));
    return countCost(b.build()).macs;
  };
  t.equal(
    macsOf(
      'LSTM',
      [
        [5, 2, 3],
        [2, 16, 3],
        [2, 16, 4],
      ],
      { direction: 'bidirectional' },
    ),
    5 * 2 * 2 * 16 * 7,
  );
  t.equal(
    macsOf('GRU', [
      [5, 2, 3],
      [1, 12, 3],
      [1, 12, 4],
    ]),
    5 * 2 * 12 * 7,
  );
  t.equal(
    macsOf(
      'Einsum',
      [
        [2, 3, 4],
        [4, 5],
      ],
      { equation: 'bij,jk->bik' },
    ),
    2 * 3 * 4 * 5,
  );
  t.equal(
    macsOf(
      'Einsum',
      [
        [2, 3],
        [2, 3],
      ],
      { equation: 'ij,ij->ij' },
    ),
    0,
    'an elementwise product',
  );
  // a.b contracts i, the result contracts j.
  t.equal(
    macsOf(
      'Einsum',
      [
        [2, 3],
        [3, 4],
        [4, 5],
      ],
      { equation: 'ai,ij,jb->ab' },
    ),
    2 * 3 * 4 + 2 * 4 * 5,
  );
  t.equal(
    macsOf(
      'FusedMatMul',
      [
        [4, 3],
        [4, 5],
      ],
      { transA: 1 },
      'com.microsoft',
    ),
    3 * 4 * 5,
  );
  t.equal(
    macsOf(
      'ConvTranspose',
      [
        [1, 2, 4, 4],
        [2, 3, 3, 3],
      ],
      { strides: [2, 2] },
    ),
    2 * 16 * 27,
  );
});

t.test('what is not known is never counted as free', async (t) => {
  const unknown = graphOf(
    [node('Conv', ['x', 'w'], ['a']), node('Mystery', ['a'], ['b']), node('Conv', ['b', 'v'], ['y'])],
    { w: weights([4, 3, 3, 3]), v: weights([2, 4, 1, 1]) },
  );
  t.equal(
    code(() => countCost(unknown)),
    'OPERATOR_UNSUPPORTED',
  );
  const { shapes, unknown: nodes } = inferKnownShapes(unknown);
  t.same(shapes.get('a')?.dims, [1, 4, 6, 6]);
  t.same(
    nodes.map(({ node: { op }, reason }) => [op, reason.code]),
    [
      ['Mystery', 'OPERATOR_UNSUPPORTED'],
      ['Conv', 'SHAPE_UNKNOWN'],
    ],
  );
  const cost = countKnownCost(unknown);
  t.same([cost.macs, cost.bytesMoved, cost.peakActivationBytes], [null, null, null]);
  t.same([cost.parameters, cost.weightBytes], [116, 464]);
  t.same(
    cost.uncounted.map(({ op }) => op),
    ['Mystery', 'Conv'],
  );
  t.equal(cost.operators[0]?.macs, 4 * 36 * 27, 'what is known is counted');

  // One run tells the shape: the second convolution counts then, the operator itself still does not.
  const told = countKnownCost(unknown, new Map([['b', { dtype: 'float32' as const, dims: [1, 4, 6, 6] }]]));
  t.same([told.macs, told.uncounted.map(({ op }) => op)], [null, ['Mystery']]);
  t.equal(told.operators[2]?.macs, 2 * 36 * 4);
  t.ok(told.peakActivationBytes);

  const open = countKnownCost(
    graphOf([node('Conv', ['x', 'w'], ['y'])], { w: weights([4, 3, 3, 3]) }, ['N', 3, 8, 8]),
  );
  t.same([open.macs, open.weightBytes], [null, 432]);

  // Values of unknown shape that are read later say why.
  const sequence = graphOf([node('SequenceConstruct', ['x'], ['s']), node('Identity', ['s'], ['y'])], {});
  t.same(
    inferKnownShapes(sequence).unknown.map(({ reason }) => reason.code),
    ['SHAPE_UNKNOWN', 'SHAPE_UNKNOWN'],
  );
  t.equal(
    code(() => inferShapes(sequence)),
    'SHAPE_UNKNOWN',
  );
});

t.test('graphs inside a network', async (t) => {
  const branch = (weight: Tensor, attributes: Node['attributes'] = {}): Graph => ({
    name: 'branch',
    opset: 17,
    inputs: [],
    outputs: [{ name: 'r', dtype: 'float32', dims: [] }],
    initializers: new Map([['w', weight]]),
    nodes: [node('Conv', ['x', 'w'], ['r'], attributes)],
  });
  const either = (other: Graph, condition?: Tensor): Graph => {
    const graph = graphOf(
      [node('If', ['c'], ['y'], { then_branch: branch(weights([4, 3, 3, 3])), else_branch: other })],
      {
        ...(condition && { c: condition }),
      },
    );
    return condition
      ? graph
      : { ...graph, inputs: [...graph.inputs, { name: 'c', dtype: 'bool', dims: [] }] };
  };
  const same = either(branch(weights([4, 3, 3, 3], 2)));
  t.same(inferShapes(same).get('y')?.dims, [1, 4, 6, 6]);
  t.same(
    [countCost(same).macs, countCost(same).parameters, countCost(same).weightBytes],
    [4 * 36 * 27, 216, 864],
    'both branches hold weights, one runs',
  );
  const unequal = either(branch(weights([4, 3, 1, 1]), { pads: [0, 0, 0, 0], strides: [1, 1] }));
  t.equal(
    code(() => inferShapes(unequal)),
    'SHAPE_UNKNOWN',
    'branches of two shapes',
  );
  const contradictory = either(branch(weights([4, 5, 3, 3])));
  t.equal(
    code(() => inferShapes(contradictory)),
    'SHAPE_UNKNOWN',
    'a branch that may never run is no mistake of the model, though it does not fit its inputs',
  );
  checkNetworkLimits(contradictory);
  // What the user feeds the condition with decides which branch is counted.
  const fed = (value: number): Graph => ({
    ...unequal,
    feeds: new Map([['c', { dtype: 'bool', dims: [], data: Uint8Array.of(value) }]]),
  });
  t.same(countKnownCost(fed(1)).macs, 4 * 36 * 27);
  t.same(countKnownCost(fed(0)).macs, 4 * 64 * 3);
  t.equal(countKnownCost(unequal).macs, null);
  const yes: Tensor = { dtype: 'bool', dims: [], data: Uint8Array.of(1) };
  t.same(inferShapes(either(branch(weights([4, 3, 1, 1])), yes)).get('y')?.dims, [1, 4, 6, 6]);
  // As large an output, at another cost: the shape is known, the cost is not.
  const padded = either(branch(weights([4, 3, 1, 1]), { pads: [-1, -1, -1, -1] }));
  t.equal(countKnownCost(padded).macs, null);
  t.equal(
    code(() => countCost(padded)),
    'OPERATOR_UNSUPPORTED',
  );

  const body: Graph = {
    name: 'body',
    opset: 17,
    inputs: [
      { name: 'i', dtype: 'int64', dims: [] },
      { name: 'on', dtype: 'bool', dims: [] },
      { name: 'h', dtype: 'float32', dims: [2, 4] },
    ],
    outputs: ['still', 'next', 'seen'].map((name) => ({ name, dtype: 'float32' as const, dims: [] })),
    initializers: new Map([['w', weights([4, 4])]]),
    nodes: [
      node('Identity', ['on'], ['still']),
      node('MatMul', ['h', 'w'], ['next']),
      node('Relu', ['next'], ['seen']),
    ],
  };
  const loop = (count?: Tensor): Graph => {
    const graph = graphOf(
      [node('Loop', ['n', '', 'x'], ['y', 'all'], { body })],
      { ...(count && { n: count }) },
      [2, 4],
    );
    return count ? graph : { ...graph, inputs: [...graph.inputs, { name: 'n', dtype: 'int64', dims: [] }] };
  };
  const five = loop(int64Tensor([5], []));
  t.same([inferShapes(five).get('all')?.dims, countCost(five).macs], [[5, 2, 4], 5 * 2 * 4 * 4]);
  t.same(inferShapes(loop()).get('y')?.dims, [2, 4], 'the state keeps its shape however often it runs');
  t.equal(countKnownCost(loop()).macs, null);
  const reads = { ...loop(), nodes: [...loop().nodes, node('Relu', ['all'], ['z'])] };
  t.equal(
    code(() => inferShapes(reads)),
    'SHAPE_UNKNOWN',
  );
});

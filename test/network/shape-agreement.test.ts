import t from 'tap';
import type { HildaError } from '../../daemon/core/errors.js';
import {
  type DType,
  elementCount,
  floatTensor,
  type Graph,
  int64Tensor,
  type Node,
  type Tensor,
} from '../../daemon/network/graph.js';
import { inferShapes } from '../../daemon/network/infer-shapes.js';
import type { RuleOutput } from '../../daemon/network/shape-rules/rule.js';
import { numbersOf } from '../../daemon/network/tensor-numbers.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import type { RuntimeTensor } from '../../daemon/runtime/messages.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';

/** An activation by its sizes, a constant, or an input left out. */
type Given = readonly number[] | Tensor | null;

const ints = (...values: number[]): Tensor => int64Tensor(values);
const int = (value: number): Tensor => int64Tensor([value], []);
const floats = (...values: number[]): Tensor => floatTensor([values.length], values);
const bytes = (dtype: DType, ...values: number[]): Tensor => ({
  dtype,
  dims: [values.length],
  data: Uint8Array.from(values),
});
const none = floatTensor([0], []);

interface Case {
  readonly op: string;
  readonly opset: number;
  readonly given: readonly Given[];
  readonly attributes?: Node['attributes'];
  readonly outputs?: number;
  readonly domain?: string;
}

function graphOf({ op, opset, given, attributes = {}, outputs = 1, domain = '' }: Case): Graph {
  const name = (i: number): string => (given[i] === null ? '' : `x${i}`);
  const isTensor = (value: Given): value is Tensor => value !== null && 'data' in value;
  const made = Array.from({ length: outputs }, (_, i) => `y${i}`);
  const node: Node = {
    name: '',
    op,
    domain,
    inputs: given.map((_, i) => name(i)),
    outputs: made,
    attributes,
  };
  return {
    name: 'one',
    opset,
    irVersion: 8,
    ...(domain && { domains: new Map([[domain, 1]]) }),
    // One that nothing reads stands for none: a model of constants alone has no input to feed.
    inputs: [
      { name: 'unread', dtype: 'float32', dims: [1] },
      ...given.flatMap((value, i) =>
        value === null || isTensor(value) ? [] : [{ name: name(i), dtype: 'float32' as const, dims: value }],
      ),
    ],
    outputs: made.map((value) => ({
      name: value,
      dtype: 'float32' as const,
      dims: [],
      unranked: true as const,
    })),
    initializers: new Map(given.flatMap((value, i) => (isTensor(value) ? [[name(i), value] as const] : []))),
    nodes: [node],
  };
}

const line = ({ op, opset, given, attributes = {} }: Case): string =>
  `${op} ${opset} ${JSON.stringify(given.map((v) => (v === null ? '' : 'data' in v ? (numbersOf(v) ?? v.dims) : v)))} ${JSON.stringify(attributes, (_, v) => (v instanceof Uint8Array ? [...v] : v))}`;

/** Operator, operator set, inputs, attributes, sizes of the first output, number of outputs. */
const cases: readonly (readonly [
  string,
  number,
  readonly Given[],
  Node['attributes'],
  readonly number[],
  number?,
])[] = [
  // Float32 makes these whole, doubles one less.
  ['Resize', 13, [[1, 3, 10, 10], none, floats(1, 1, 0.7, 0.7)], {}, [1, 3, 7, 7]],
  ['Resize', 11, [[1, 2, 3, 3], none, floats(1, 1, 5 / 3, 5 / 3)], { mode: 'linear' }, [1, 2, 5, 5]],
  ['Resize', 10, [[1, 3, 8, 8], floats(1, 1, 2, 0.5)], {}, [1, 3, 16, 4]],
  [
    'Resize',
    19,
    [[1, 2, 4, 8], null, none, ints(16, 16)],
    { axes: [2, 3], keep_aspect_ratio_policy: 'not_larger' },
    [1, 2, 8, 16],
  ],
  [
    'Resize',
    18,
    [[1, 2, 5, 7], null, null, ints(9, 9)],
    { axes: [3, 2], keep_aspect_ratio_policy: 'not_smaller' },
    [1, 2, 9, 13],
  ],
  ['Resize', 18, [[1, 2, 4, 6], null, floats(1.5)], { axes: [-1] }, [1, 2, 4, 9]],
  ['Upsample', 9, [[1, 2, 3, 3], floats(1, 1, 2.4, 3)], {}, [1, 2, 7, 9]],
  [
    'MaxPool',
    12,
    [[1, 2, 7, 9]],
    { kernel_shape: [2, 3], strides: [2, 2], dilations: [2, 1], ceil_mode: 1 },
    [1, 2, 3, 4],
    2,
  ],
  [
    'AveragePool',
    19,
    [[1, 2, 11]],
    { kernel_shape: [3], strides: [3], pads: [1, 1], ceil_mode: 1 },
    [1, 2, 4],
  ],
  ['LpPool', 18, [[1, 1, 8, 8]], { kernel_shape: [2, 2], dilations: [3, 1] }, [1, 1, 5, 7]],
  [
    'AveragePool',
    10,
    [[1, 2, 7, 7]],
    { kernel_shape: [2, 2], strides: [3, 3], auto_pad: 'VALID', ceil_mode: 1 },
    [1, 2, 3, 3],
  ],
  [
    'ConvTranspose',
    11,
    [[1, 2, 4, 5], floatTensor([2, 3, 3, 3], Array(54).fill(1))],
    { strides: [2, 2], auto_pad: 'SAME_UPPER' },
    [1, 3, 8, 10],
  ],
  [
    'ConvTranspose',
    11,
    [[1, 2, 4], floatTensor([2, 1, 3], Array(6).fill(1))],
    { strides: [2], output_shape: [8] },
    [1, 1, 8],
  ],
  [
    'ConvTranspose',
    11,
    [[1, 2, 4], floatTensor([2, 1, 3], Array(6).fill(1))],
    { strides: [2], output_padding: [1], pads: [1, 0], dilations: [2] },
    [1, 1, 11],
  ],
  ['ReduceSum', 13, [[2, 3, 4], ints()], {}, [1, 1, 1]],
  ['ReduceSum', 13, [[2, 3, 4], ints()], { noop_with_empty_axes: 1 }, [2, 3, 4]],
  ['ReduceMax', 11, [[2, 3, 4]], { axes: [-1, 0], keepdims: 0 }, [3]],
  ['ArgMax', 13, [[2, 3, 4]], { axis: -2, keepdims: 0 }, [2, 4]],
  ['TopK', 11, [[2, 5], ints(3)], {}, [2, 3], 2],
  ['Slice', 13, [[6, 8], ints(-1, 7), ints(-100, 2), ints(0, -1), ints(-2, -1)], {}, [3, 5]],
  // The largest integer means "through all" in either direction.
  ['Slice', 13, [[8], ints(5), ints(2 ** 63), ints(0), ints(-2)], {}, [3]],
  ['Split', 18, [[7, 2]], { num_outputs: 3 }, [3, 2], 3],
  ['Split', 13, [[7, 2], ints(2, 0, 5)], {}, [2, 2], 3],
  ['Pad', 18, [[4, 6], ints(-1, 3), null, ints(-1)], {}, [4, 8]],
  ['Shape', 15, [[2, 3, 4, 5]], { start: -3, end: -1 }, [2]],
  ['Reshape', 14, [[2, 3, 4], ints(0, -1)], { allowzero: 0 }, [2, 12]],
  ['Flatten', 13, [[2, 3, 4]], { axis: -1 }, [6, 4]],
  ['Softmax', 11, [[2, 3, 4]], { axis: 2 }, [2, 3, 4]],
  ['Dropout', 10, [[2, 3]], {}, [2, 3], 2],
  ['Dropout', 13, [[2, 3]], {}, [2, 3], 2],
  ['LayerNormalization', 17, [[2, 3, 4], floats(1, 1, 1, 1)], { axis: 2 }, [2, 3, 4], 3],
  ['Max', 13, [[2, 1, 4], [3, 1], [1]], {}, [2, 3, 4]],
  ['Mean', 8, [[2, 3]], {}, [2, 3]],
  [
    'PRelu',
    9,
    [
      [2, 3, 4],
      [3, 1],
    ],
    {},
    [2, 3, 4],
  ],
  [
    'Einsum',
    12,
    [
      [2, 3, 4],
      [4, 5],
    ],
    { equation: '...ij,jk' },
    [2, 3, 5],
  ],
  ['Einsum', 12, [[3, 3], [3]], { equation: 'ii,i->i' }, [3]],
  [
    'LSTM',
    14,
    [[5, 2, 3], floatTensor([2, 16, 3], Array(96).fill(0.1)), floatTensor([2, 16, 4], Array(128).fill(0.1))],
    { hidden_size: 4, direction: 'bidirectional' },
    [5, 2, 2, 4],
    3,
  ],
  [
    'GRU',
    14,
    [[5, 2, 3], floatTensor([1, 12, 3], Array(36).fill(0.1)), floatTensor([1, 12, 4], Array(48).fill(0.1))],
    { hidden_size: 4 },
    [5, 1, 2, 4],
    2,
  ],
  ['Gather', 13, [ints(10, 20, 30), int64Tensor([-1, 0, 1, 2], [2, 2])], {}, [2, 2]],
  ['GatherND', 13, [[2, 3, 4], int64Tensor([0, 1], [2, 1])], { batch_dims: 1 }, [2, 4]],
  ['OneHot', 11, [ints(1, 2), int(4), floats(0, 1)], { axis: 0 }, [4, 2]],
  ['Compress', 11, [[3, 4], bytes('bool', 1, 0, 1)], { axis: 1 }, [3, 2]],
  ['Range', 11, [int(10), int(-5), int(-4)], {}, [4]],
  ['Range', 11, [floatTensor([], [0]), floatTensor([], [1]), floatTensor([], [0.1])], {}, [10]],
  ['ConstantOfShape', 9, [ints(2, 3)], { value: bytes('bool', 1) }, [2, 3]],
  ['DepthToSpace', 13, [[1, 8, 2, 3]], { blocksize: 2, mode: 'CRD' }, [1, 2, 4, 6]],
  ['SpaceToDepth', 13, [[1, 2, 4, 6]], { blocksize: 2 }, [1, 8, 2, 3]],
  ['STFT', 17, [[1, 20, 1], int(3), null, int(8)], {}, [1, 5, 5, 2]],
  ['HannWindow', 17, [int(6)], {}, [6]],
  [
    'MelWeightMatrix',
    17,
    [int(4), int(16), int(8000), floatTensor([], [0]), floatTensor([], [4000])],
    {},
    [9, 4],
  ],
  [
    'GridSample',
    16,
    [
      [1, 2, 4, 4],
      [1, 3, 5, 2],
    ],
    {},
    [1, 2, 3, 5],
  ],
  ['Div', 13, [ints(-7, 7), ints(2, -2)], {}, [2]],
  ['Mod', 13, [ints(-7, 7), ints(3, -3)], {}, [2]],
  ['Mod', 13, [ints(-7, 7), ints(3, -3)], { fmod: 1 }, [2]],
  ['Div', 13, [floats(1, 2), floats(3)], {}, [2]],
  ['Where', 16, [bytes('bool', 1, 0), int64Tensor([1, 2], [2, 1]), ints(8, 9)], {}, [2, 2]],
  ['Cast', 13, [floats(-1.7, 2.5)], { to: 7 }, [2]],
  ['Round', 11, [floats(-2.5, 0.5, 1.5)], {}, [3]],
  ['Concat', 13, [int64Tensor([1, 2], [1, 2]), int64Tensor([3, 4], [1, 2])], { axis: 0 }, [2, 2]],
  ['NonZero', 13, [int64Tensor([0, 3, 4, 0], [2, 2])], {}, [2, 2]],
  ['Add', 7, [[2, 3], [3]], {}, [2, 3]],
];

t.test('shapes, types and elements are those of onnxruntime', async (t) => {
  const runtime = new SessionProcess({ memoryLimitBytes: null });
  t.teardown(() => runtime.stop());
  const microsoft: Case[] = [
    {
      op: 'FusedMatMul',
      opset: 17,
      domain: 'com.microsoft',
      given: [
        [2, 4, 3],
        [2, 4, 5],
      ],
      attributes: { transA: 1 },
    },
    { op: 'BiasGelu', opset: 17, domain: 'com.microsoft', given: [[2, 4], [4]] },
    {
      op: 'SkipLayerNormalization',
      opset: 17,
      domain: 'com.microsoft',
      given: [[1, 2, 4], [1, 2, 4], floats(1, 1, 1, 1)],
    },
  ];
  const listed = cases.map(([op, opset, given, attributes, want, outputs = 1]) => ({
    case: { op, opset, given, attributes, outputs },
    want,
  }));
  for (const { case: one, want } of [...listed, ...microsoft.map((c) => ({ case: c, want: undefined }))]) {
    const graph = graphOf(one);
    const shapes = inferShapes(graph) as ReadonlyMap<string, RuleOutput>;
    if (want) t.same(shapes.get('y0')?.dims, want, line(one));
    // The type of an output is part of a model; its shape may be left out.
    const outputs = graph.outputs.map((v) => ({ ...v, dtype: shapes.get(v.name)?.dtype ?? v.dtype }));
    const { handle } = await runtime.load(writeOnnx({ ...graph, outputs }), { arena: false });
    const feeds = Object.fromEntries(
      graph.inputs.map(({ name, dims }) => {
        const sizes = dims as number[];
        return [
          name,
          { type: 'float32' as const, dims: sizes, data: new Float32Array(elementCount(sizes)).fill(0.25) },
        ];
      }),
    );
    const answers = await runtime.run(handle, feeds);
    for (const { name } of graph.outputs) {
      const [answer, shape] = [answers[name], shapes.get(name)];
      t.same([shape?.dtype, shape?.dims], [answer?.type, answer?.dims], `${line(one)} ${name}`);
      if (shape?.constant)
        t.same(
          shape.constant,
          Array.from((answer as RuntimeTensor).data as Float32Array, Number),
          `${line(one)}: elements`,
        );
    }
  }
});

t.test('what a rule does not cover is refused by name', async (t) => {
  const weight = floatTensor([1, 1, 1], [1]);
  const refused: readonly (readonly [
    string,
    number,
    readonly Given[],
    Node['attributes'],
    string,
    RegExp,
  ])[] = [
    [
      'Resize',
      13,
      [[1, 1, 4, 4], null, [4]],
      {},
      'SHAPE_UNKNOWN',
      /y0 \(Resize, opset 13\): needs constant scales or sizes/,
    ],
    [
      'Resize',
      13,
      [[1, 1, 4, 4], none, floats(1, 1, 2, 2)],
      { coordinate_transformation_mode: 'tf_crop_and_resize' },
      'OPERATOR_UNSUPPORTED',
      /tf_crop_and_resize/,
    ],
    [
      'Resize',
      18,
      [[1, 4], null, null, ints(9)],
      { axes: [-1], keep_aspect_ratio_policy: 'not_larger' },
      'OPERATOR_UNSUPPORTED',
      /negative/,
    ],
    ['Upsample', 13, [[1, 1, 4, 4], floats(1, 1, 2, 2)], {}, 'OPERATOR_UNSUPPORTED', /exists up to opset 9/],
    ['Mish', 13, [[4]], {}, 'OPERATOR_UNSUPPORTED', /from opset 18, the model imports 13/],
    [
      'MaxPool',
      8,
      [[1, 1, 8]],
      { kernel_shape: [2], dilations: [2] },
      'ONNX_INVALID',
      /dilations exists from opset 10/,
    ],
    [
      'MaxPool',
      12,
      [[1, 1, 8]],
      { kernel_shape: [2], dilations: [2], auto_pad: 'SAME_UPPER' },
      'OPERATOR_UNSUPPORTED',
      /SAME with dilations/,
    ],
    [
      'ConvTranspose',
      11,
      [[1, 1, 4], weight],
      { strides: [2], auto_pad: 'SAME_LOWER' },
      'OPERATOR_UNSUPPORTED',
      /kernel smaller than its stride/,
    ],
    ['Add', 6, [[2, 3, 4], [3]], { broadcast: 1, axis: 1 }, 'OPERATOR_UNSUPPORTED', /along axis 1/],
    ['Squeeze', 13, [[1, 2]], { axes: [0] }, 'ONNX_INVALID', /axes is an input from opset 13 on/],
    ['Squeeze', 11, [[1, 2]], { axes: [1] }, 'ONNX_INVALID', /axis 1 of \[1,2\] is not 1/],
    ['Transpose', 13, [[2, 3]], { perm: [0, 0] }, 'ONNX_INVALID', /perm/],
    ['Expand', 13, [[3], ints(2)], {}, 'ONNX_INVALID', /do not broadcast/],
    ['Split', 13, [[7]], {}, 'ONNX_INVALID', /7 does not part into 2/],
    ['Softmax', 13, [[2, 3]], { axis: 2 }, 'ONNX_INVALID', /axis 2 outside rank 2/],
    ['Flatten', 13, [[2, 3]], { axis: 1.5 }, 'ONNX_INVALID', /axis must be a whole number/],
    ['Cast', 13, [[2]], { to: 99 }, 'OPERATOR_UNSUPPORTED', /type 99/],
    ['NonZero', 13, [[2, 3]], {}, 'SHAPE_UNKNOWN', /elements other than 0/],
    ['SequenceConstruct', 13, [[2, 3]], {}, 'SHAPE_UNKNOWN', /sequence/],
    ['ConstantOfShape', 13, [floats(2.5)], {}, 'ONNX_INVALID', /would have the shape \[2.5\]/],
    ['Concat', 13, [[2, 3]], {}, 'ONNX_INVALID', /axis is missing/],
    ['constructor', 13, [[2]], {}, 'OPERATOR_UNSUPPORTED', /constructor/],
    ['toString', 13, [[2]], {}, 'OPERATOR_UNSUPPORTED', /toString/],
  ];
  for (const [op, opset, given, attributes, code, message] of refused) {
    const one = { op, opset, given, attributes, outputs: op === 'Split' ? 2 : 1 };
    try {
      const found = inferShapes(graphOf(one)).get('y0');
      t.fail(`${line(one)} gave [${found?.dims}]`);
    } catch (error) {
      t.equal((error as HildaError).code, code, line(one));
      t.match((error as HildaError).message, message, line(one));
      t.notMatch((error as HildaError).message, /neither|not constant/);
    }
  }
});

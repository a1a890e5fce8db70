import t from 'tap';
import { floatTensor, int64Tensor, type Node } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';
import { inferShapes } from '../../daemon/network/infer-shapes.js';
import { checkNetworkLimits } from '../../daemon/network/limits.js';
import { code, sample, weights } from './sample.js';

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
    // Windows larger than their image, as onnxruntime takes them.
    ['MaxPool', [[1, 2, 1, 2]], { kernel_shape: [2, 3], strides: [4, 2] }, [], [1, 2, 1, 1]],
    ['AveragePool', [[1, 1, 4]], { kernel_shape: [7], strides: [2], ceil_mode: 1 }, [], [1, 1, 0]],
    ['LpPool', [[1, 1, 3]], { kernel_shape: [5], strides: [4], pads: [0, 1] }, [], [1, 1, 1]],
    ['PRelu', [[], [1]], {}, [], [1]],
    [
      'PRelu',
      [
        [2, 3],
        [1, 1, 3],
      ],
      {},
      [],
      [1, 2, 3],
    ],
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

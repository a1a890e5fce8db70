import { floatsOf, type Graph, type Tensor } from '../network/graph.js';
import { type OperatorSpec, type TensorSpec, writeTflite } from '../network/tflite/write-tflite.js';
import type { ReferenceName } from './calibration.js';
import { referenceNetworks } from './references.js';

/**
 * The reference networks as TensorFlow Lite files, for runners that read nothing else: the same layers with the same weights,
 * channels last. They must never change either.
 */
export function tfliteReferences(): Readonly<Record<ReferenceName, Uint8Array>> {
  const networks = referenceNetworks();
  files ??= {
    convolution: convolutionFile(networks.convolution),
    transformer: transformerFile(networks.transformer),
  };
  return files;
}

let files: Readonly<Record<ReferenceName, Uint8Array>> | null = null;

const [same, valid, none, relu] = [0, 1, 0, 1] as const;

/** Tensors and operators of a file, in order. */
class Layers {
  readonly tensors: TensorSpec[] = [];
  readonly operators: OperatorSpec[] = [];

  tensor(spec: TensorSpec): number {
    return this.tensors.push(spec) - 1;
  }

  /** Adds an operator; gives the tensor that it makes. */
  add(
    op: string,
    inputs: readonly number[],
    dims: readonly number[],
    options?: OperatorSpec['options'],
  ): number {
    const made = this.tensor({ dims });
    this.operators.push({ op, inputs, outputs: [made], ...(options && { options }) });
    return made;
  }

  floats(dims: readonly number[], data: readonly number[]): number {
    return this.tensor({ dims, data });
  }

  ints(...data: readonly number[]): number {
    return this.tensor({ dims: [data.length], data, type: 'int32' });
  }

  file(input: number, output: number): Uint8Array {
    return writeTflite({
      tensors: this.tensors,
      operators: this.operators,
      inputs: [input],
      outputs: [output],
    });
  }
}

/** The constants of a reference network, in the order that it was built in. */
function constantsOf(network: Graph): () => Tensor {
  const tensors = network.initializers;
  let next = 0;
  return () => tensors.get(`c${next++}`) as Tensor;
}

function convolutionFile(network: Graph): Uint8Array {
  const layers = new Layers();
  const take = constantsOf(network);
  const conv = (x: number, size: number, activation: number): number => {
    const [weight, bias] = [take(), take()];
    const [out = 0, perGroup = 0, kernel = 0] = weight.dims;
    const deep = perGroup === 1;
    const dims = deep ? [1, kernel, kernel, out] : [out, kernel, kernel, perGroup];
    const parameters = [
      layers.floats(dims, deep ? moved(weight, [1, 2, 3, 0]) : moved(weight, [0, 2, 3, 1])),
      layers.floats([out], [...floatsOf(bias)]),
    ];
    const strided = kernel === 3 && !deep;
    const stride = strided ? 2 : 1;
    const padded = strided
      ? layers.add(
          'PAD',
          [x, layers.tensor({ dims: [4, 2], data: [0, 0, 1, 1, 1, 1, 0, 0], type: 'int32' })],
          [1, 2 * size + 2, 2 * size + 2, perGroup],
          { type: 'Pad', fields: [] },
        )
      : x;
    const common = [
      ['byte', strided ? valid : same],
      ['int', stride],
      ['int', stride],
    ] as const;
    return layers.add(
      deep ? 'DEPTHWISE_CONV_2D' : 'CONV_2D',
      [padded, ...parameters],
      [1, size, size, out],
      deep
        ? {
            type: 'DepthwiseConv2D',
            fields: [...common, ['int', 1], ['byte', activation], ['int', 1], ['int', 1]],
          }
        : { type: 'Conv2D', fields: [...common, ['byte', activation], ['int', 1], ['int', 1]] },
    );
  };
  const [, channels = 0, side = 0] = inputDims(network);
  const size = side / 2;
  const input = layers.tensor({ name: 'x', dims: [1, side, side, channels] });
  let x = conv(input, size, relu);
  const blocks = network.nodes.filter(({ op }) => op === 'Add').length;
  for (let block = 0; block < blocks; block++) {
    const inner = conv(conv(conv(x, size, relu), size, relu), size, none);
    x = layers.add('ADD', [x, inner], layers.tensors[x]?.dims ?? [], {
      type: 'Add',
      fields: [['byte', none]],
    });
  }
  const width = layers.tensors[x]?.dims[3] ?? 0;
  const pooled = layers.add('MEAN', [x, layers.ints(1, 2)], [1, width], {
    type: 'Reducer',
    fields: [['byte', 0]],
  });
  return layers.file(input, dense(layers, pooled, [1], take(), take()));
}

/** A product with a weight [in, out] and a bias, over the last axis. */
function dense(
  layers: Layers,
  x: number,
  lead: readonly number[],
  weight: Tensor,
  bias: Tensor,
  activation: number = none,
): number {
  const [from = 0, to = 0] = weight.dims;
  const parameters = [
    layers.floats([to, from], moved(weight, [1, 0])),
    layers.floats([to], [...floatsOf(bias)]),
  ];
  return layers.add('FULLY_CONNECTED', [x, ...parameters], [...lead, to], {
    type: 'FullyConnected',
    fields: [
      ['byte', activation],
      ['byte', 0],
      ['byte', 1],
    ],
  });
}

function transformerFile(network: Graph): Uint8Array {
  const layers = new Layers();
  const take = constantsOf(network);
  const [, tokens = 0, width = 0] = inputDims(network);
  const [heads, lead, dims] = [4, [1, tokens], [1, tokens, width]];
  const wide = width / heads;
  const input = layers.tensor({ name: 'x', dims });
  const plain = (type: string) => ({ type, fields: [['byte', none] as const] });
  const two = (op: 'ADD' | 'MUL' | 'SUB', a: number, b: number, to: readonly number[] = dims): number =>
    layers.add(op, [a, b], to, plain({ ADD: 'Add', MUL: 'Mul', SUB: 'Sub' }[op]));
  const mean = (x: number): number =>
    layers.add('MEAN', [x, layers.ints(2)], [...lead, 1], { type: 'Reducer', fields: [['byte', 1]] });
  const norm = (x: number): number => {
    const [scale, bias] = [take(), take()].map((tensor) => layers.floats([width], [...floatsOf(tensor)]));
    const centre = mean(x);
    const squares = layers.add('SQUARED_DIFFERENCE', [x, centre], dims, {
      type: 'SquaredDifference',
      fields: [],
    });
    const variance = two('ADD', mean(squares), layers.floats([1], [1e-5]), [...lead, 1]);
    const root = layers.add('RSQRT', [variance], [...lead, 1]);
    const normal = two('MUL', two('SUB', x, centre), root);
    return two('ADD', two('MUL', normal, scale as number), bias as number);
  };
  const linear = (x: number, activation: number = none): number =>
    dense(layers, x, lead, take(), take(), activation);
  const reshape = (x: number, to: readonly number[]): number =>
    layers.add('RESHAPE', [x, layers.ints(...to)], to, { type: 'Reshape', fields: [['ints', to]] });
  const transpose = (x: number, to: readonly number[]): number =>
    layers.add('TRANSPOSE', [x, layers.ints(0, 2, 1, 3)], to, { type: 'Transpose', fields: [] });
  const split = (x: number): number =>
    transpose(reshape(x, [1, tokens, heads, wide]), [1, heads, tokens, wide]);
  const product = (a: number, b: number, turned: 0 | 1, last: number): number =>
    layers.add('BATCH_MATMUL', [a, b], [1, heads, tokens, last], {
      type: 'BatchMatMul',
      fields: [
        ['byte', 0],
        ['byte', turned],
      ],
    });
  let x = input;
  const depth = network.nodes.filter(({ op }) => op === 'Softmax').length;
  for (let layer = 0; layer < depth; layer++) {
    const attended = norm(x);
    const [query, key, value] = [linear(attended), linear(attended), linear(attended)].map(split) as [
      number,
      number,
      number,
    ];
    const shares = layers.add('SOFTMAX', [product(query, key, 1, tokens)], [1, heads, tokens, tokens], {
      type: 'Softmax',
      fields: [['float', 1]],
    });
    const mixed = transpose(product(shares, value, 0, wide), [1, tokens, heads, wide]);
    x = two('ADD', x, linear(reshape(mixed, dims)));
    x = two('ADD', x, linear(linear(norm(x), relu)));
  }
  return layers.file(input, x);
}

const inputDims = (network: Graph): number[] => [...(network.inputs[0]?.dims ?? [])].map(Number);

/** The elements of a constant with its axes in another order. */
function moved(tensor: Tensor, perm: readonly number[]): number[] {
  const from = floatsOf(tensor);
  const { dims } = tensor;
  const strides = dims.map((_, axis) => dims.slice(axis + 1).reduce((a, b) => a * b, 1));
  const to = perm.map((axis) => dims[axis] as number);
  return Array.from({ length: from.length }, (_, index) => {
    let rest = index;
    let at = 0;
    for (let axis = to.length - 1; axis >= 0; axis--) {
      const size = to[axis] as number;
      at += (rest % size) * (strides[perm[axis] as number] as number);
      rest = Math.floor(rest / size);
    }
    return from[at] as number;
  });
}

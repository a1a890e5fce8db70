import { type Rng, randomInt } from '../../daemon/core/rng.js';
import { type DType, elementCount, type Graph, type Tensor } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';

/** Random networks as quantising tools leave them: every value between a QuantizeLinear and a DequantizeLinear. */
export interface QuantisedKind {
  readonly name: string;
  /** Adds the operator behind `x` and returns what it makes with the standard deviation it will about have. */
  readonly build: (q: PairBuilder, x: string, spread: number) => readonly [value: string, spread: number];
  /** Shape of its input. */
  readonly dims: (rng: Rng) => readonly number[];
}

type ByteType = 'int8' | 'uint8';

export class PairBuilder {
  /** The largest signed weight: see `widestExactWeight`. */
  static widestWeight = 127;
  readonly b: GraphBuilder;
  readonly rng: Rng;
  #count = 0;
  /** The scales of what a DequantizeLinear makes. */
  readonly #scales = new Map<string, readonly number[]>();

  /** `only`: the type of all activations, since onnxruntime's operators on integers take no two. */
  constructor(
    rng: Rng,
    opset: number,
    private readonly only?: ByteType,
  ) {
    this.rng = rng;
    this.b = new GraphBuilder({ name: 'quantised', opset });
  }

  int(from: number, to: number): number {
    return from + randomInt(this.rng, to - from + 1);
  }

  /** Signed weights, evenly drawn. */
  signedWeights(count: number): number[] {
    const widest = PairBuilder.widestWeight;
    return Array.from({ length: count }, () => this.int(-widest, widest));
  }

  chance(share: number): boolean {
    return this.rng.next() < share;
  }

  pick<T>(items: readonly T[]): T {
    return items[randomInt(this.rng, items.length)] as T;
  }

  constant(dims: readonly number[], dtype: DType, values: readonly number[]): string {
    const array =
      dtype === 'float32'
        ? Float32Array.from(values)
        : dtype === 'int8'
          ? Int8Array.from(values)
          : dtype === 'uint8'
            ? Uint8Array.from(values)
            : Int32Array.from(values);
    const tensor: Tensor = { dtype, dims, data: new Uint8Array(array.buffer) };
    return this.b.constant(`c${this.#count++}`, tensor);
  }

  byteType(): ByteType {
    return this.only ?? this.pick(['int8', 'uint8'] as const);
  }

  /** A scale for values of this spread: about three deviations, or one, fill the bytes. */
  scaleFor(spread: number): number {
    return Math.fround((spread * (1 + 3 * this.rng.next())) / 127);
  }

  parameters(dtype: ByteType, scale: number, zeroPoint?: number): [scale: string, zero: string] {
    const centre = dtype === 'uint8' ? 128 : 0;
    const zero = zeroPoint ?? centre + this.int(-40, 40);
    return [this.constant([], 'float32', [scale]), this.constant([], dtype, [zero])];
  }

  quantised(
    x: string,
    spread: number,
    given: { dtype?: ByteType; scale?: number; zero?: number } = {},
  ): string {
    const dtype = given.dtype ?? this.byteType();
    const scale = given.scale ?? this.scaleFor(spread);
    const parameters = this.parameters(dtype, scale, given.zero);
    return this.dequantised(this.b.node('QuantizeLinear', [x, ...parameters]), parameters, [scale]);
  }

  dequantised(q: string, parameters: readonly string[], scales: readonly number[], axis?: number): string {
    const real = this.b.node('DequantizeLinear', [q, ...parameters], axis === undefined ? {} : { axis });
    this.#scales.set(real, scales);
    return real;
  }

  /** Integers as weights, with one scale or one for each place along `axis`; `limit`: the largest of them. */
  weight(dims: readonly number[], axis: number, scale: number, perChannel = this.chance(0.6)): string {
    const dtype = this.only ?? this.pick(['int8', 'int8', 'uint8'] as const);
    const limit = this.chance(0.3) ? 128 : 127;
    const count = perChannel ? (dims[axis] as number) : 1;
    // Far from the middle, an integer less its zero point needs more than eight bits.
    const zero = dtype === 'uint8' ? this.pick([128, 128, 60, 0, 255]) : 0;
    const widest = PairBuilder.widestWeight;
    const values = Array.from({ length: elementCount(dims) }, () =>
      dtype === 'uint8' ? this.int(128 - limit, 255) : this.int(widest === 127 ? -limit : -widest, widest),
    );
    const scales = Array.from({ length: count }, () => Math.fround(scale * (0.5 + this.rng.next())));
    const shape = perChannel ? [count] : [];
    return this.dequantised(
      this.constant(dims, dtype, values),
      [
        this.constant(shape, 'float32', scales),
        this.constant(
          shape,
          dtype,
          scales.map(() => zero),
        ),
      ],
      scales,
      perChannel ? axis : undefined,
    );
  }

  /** A bias of 32-bit integers in steps of the accumulator, as tools write it. */
  bias(x: string, weight: string, count: number, spread: number): string {
    const [own] = this.#scales.get(x) as [number];
    const scales = (this.#scales.get(weight) as readonly number[]).map((scale) => Math.fround(scale * own));
    const whole = Array.from({ length: count }, (_, i) => {
      const scale = scales[i % scales.length] as number;
      return Math.round(((this.rng.next() - 0.5) * spread) / scale);
    });
    const shape = scales.length === 1 ? [] : [count];
    return this.dequantised(
      this.constant([count], 'int32', whole),
      [this.constant(shape, 'float32', scales)],
      scales,
      scales.length === 1 ? undefined : 0,
    );
  }

  /** Perhaps an activation that a quantising tool leaves before the pair. */
  activated(x: string): string {
    if (this.chance(0.3)) return this.b.relu(x);
    return this.chance(0.2) ? this.b.clip(x, 0, 6) : x;
  }
}

const image = (rng: Rng): readonly number[] => [1, 4 * (1 + randomInt(rng, 3)), 5 + randomInt(rng, 5), 6];
const rows = (rng: Rng): readonly number[] => [1 + randomInt(rng, 5), 8 + randomInt(rng, 40)];
const uniform = 1 / Math.sqrt(3);

function layer(q: PairBuilder, x: string, spread: number, outputs: number, groups: number): [string, number] {
  const inputs = q.b.dimsOf(x)[1] as number;
  const [height, width] = [q.int(1, 3), q.int(1, 3)];
  const depth = (inputs / groups) * height * width;
  const scale = 1 / 127 / Math.sqrt(depth);
  const weight = q.weight([outputs, inputs / groups, height, width], 0, scale);
  const made = q.b.node('Conv', [x, weight, q.bias(x, weight, outputs, spread)], {
    group: groups,
    strides: [q.int(1, 2), 1],
    pads: [q.int(0, 1), q.int(0, 1), q.int(0, 1), 0],
  });
  return [q.activated(made), spread * uniform];
}

export const quantisedKinds: readonly QuantisedKind[] = [
  { name: 'conv', dims: image, build: (q, x, s) => layer(q, x, s, 2 * q.int(1, 5), 1) },
  {
    name: 'depthwise',
    dims: image,
    build: (q, x, s) => layer(q, x, s, q.b.dimsOf(x)[1] as number, q.b.dimsOf(x)[1] as number),
  },
  { name: 'grouped', dims: image, build: (q, x, s) => layer(q, x, s, 2 * q.int(1, 4), 2) },
  {
    name: 'gemm',
    dims: rows,
    build: (q, x, s) => {
      const [inputs, outputs] = [q.b.dimsOf(x)[1] as number, q.int(3, 20)];
      const transB = q.int(0, 1);
      const dims = transB ? [outputs, inputs] : [inputs, outputs];
      const w = q.weight(dims, transB ? 0 : 1, 1 / 127 / Math.sqrt(inputs));
      return [q.activated(q.b.node('Gemm', [x, w, q.bias(x, w, outputs, s)], { transB })), s * uniform];
    },
  },
  {
    name: 'matmul',
    dims: rows,
    build: (q, x, s) => {
      const [inputs, outputs] = [q.b.dimsOf(x)[1] as number, q.int(3, 20)];
      const w = q.weight([inputs, outputs], 1, 1 / 127 / Math.sqrt(inputs));
      return [q.b.matMul(x, w), s * uniform];
    },
  },
  {
    name: 'product of two',
    dims: rows,
    build: (q, x, s) => [
      q.b.matMul(x, q.b.transpose(x, [1, 0])),
      s * s * Math.sqrt(q.b.dimsOf(x)[1] as number),
    ],
  },
  {
    name: 'add',
    dims: image,
    build: (q, x, s) => {
      const other = q.chance(0.5) ? q.quantised(x, s) : q.quantised(q.b.node('Sigmoid', [x]), 1);
      return [q.activated(q.b.add(x, other)), 1.6 * s];
    },
  },
  {
    name: 'add a constant',
    dims: image,
    build: (q, x, s) => {
      const channels = q.b.dimsOf(x)[1] as number;
      return [q.b.add(x, q.weight([channels, 1, 1], 0, s / 127, false)), 1.4 * s];
    },
  },
  {
    name: 'mul',
    dims: image,
    build: (q, x, s) => [q.b.mul(x, q.quantised(q.b.node('Sigmoid', [x]), 1)), s * 0.6],
  },
  {
    name: 'average pool',
    dims: image,
    build: (q, x, s) => [
      q.b.node('AveragePool', [x], {
        kernel_shape: [q.int(2, 3), 2],
        strides: [1, 2],
        pads: [1, 0, 0, 1],
        count_include_pad: q.int(0, 1),
      }),
      s * 0.5,
    ],
  },
  {
    name: 'average pool of one scale',
    dims: image,
    build: (q, x, s) => {
      const even = q.quantised(x, s, { dtype: 'int8', scale: 1 / 64, zero: 3 });
      const pool = q.b.node('AveragePool', [even], { kernel_shape: [2, 2], strides: [2, 2] });
      return [q.quantised(pool, s, { dtype: 'int8', scale: 1 / 64, zero: -5 }), s];
    },
  },
  {
    name: 'conv of powers of two',
    dims: image,
    build: (q, x, s) => {
      const even = q.quantised(x, s, { dtype: 'int8', scale: 1 / 32, zero: 0 });
      const inputs = q.b.dimsOf(x)[1] as number;
      const values = q.signedWeights(4 * inputs);
      const w = q.dequantised(
        q.constant([4, inputs, 1, 1], 'int8', values),
        [q.constant([], 'float32', [1 / 256])],
        [1 / 256],
      );
      return [q.quantised(q.b.node('Conv', [even, w]), s, { dtype: 'int8', scale: 1 / 32, zero: 7 }), s];
    },
  },
  { name: 'global average', dims: image, build: (q, x, s) => [q.b.node('GlobalAveragePool', [x]), s * 0.2] },
  {
    name: 'max pool',
    dims: image,
    build: (q, x, s) => [
      q.b.node('MaxPool', [x], { kernel_shape: [2, 3], strides: [2, 1], pads: [0, 1, 1, 0] }),
      s,
    ],
  },
  {
    name: 'concat',
    dims: image,
    build: (q, x, s) => [q.b.concat([x, q.quantised(q.b.node('Sigmoid', [x]), 1), x], 1), s],
  },
  { name: 'sigmoid', dims: image, build: (q, x) => [q.b.node('Sigmoid', [x]), 0.5] },
  { name: 'tanh', dims: image, build: (q, x) => [q.b.node('Tanh', [x]), 0.8] },
  { name: 'leaky relu', dims: image, build: (q, x, s) => [q.b.node('LeakyRelu', [x], { alpha: 0.1 }), s] },
  {
    name: 'moved',
    dims: image,
    build: (q, x, s) => [q.b.reshape(q.b.transpose(x, [0, 2, 3, 1]), [1, -1]), s],
  },
];

/** A network of one operator, or of several one behind the other, whose output is what the last pair's integers are. */
export function quantisedNetwork(
  rng: Rng,
  kinds: readonly QuantisedKind[],
  opset = 17,
  only?: ByteType,
): Graph {
  const q = new PairBuilder(rng, opset, only);
  const first = kinds[0] as QuantisedKind;
  const dims = first.dims(rng);
  let spread = 1;
  let value: string;
  if (q.chance(0.5)) value = q.quantised(q.b.input('x', 'float32', dims), spread);
  else {
    const dtype = q.byteType();
    const scale = q.scaleFor(1);
    value = q.dequantised(q.b.input('x', dtype, dims), q.parameters(dtype, scale), [scale]);
  }
  kinds.forEach((kind, i) => {
    [value, spread] = kind.build(q, value, spread);
    if (i < kinds.length - 1) value = q.quantised(value, spread);
  });
  const dtype = q.byteType();
  q.b.output(q.b.node('QuantizeLinear', [value, ...q.parameters(dtype, q.scaleFor(spread))]), 'y');
  return q.b.build();
}

/** A softmax, whose result a tool gives the step 1/256 or 1/255. */
export function quantisedSoftmax(rng: Rng, scale: number): Graph {
  const q = new PairBuilder(rng, 17);
  const x = q.quantised(q.b.input('x', 'float32', [q.int(1, 6), q.int(2, 20)]), 4);
  q.b.output(
    q.b.node('QuantizeLinear', [q.b.softmax(x), ...q.parameters('uint8', Math.fround(scale), 0)]),
    'y',
  );
  return q.b.build();
}

/** Numbers that fill the range of a network's float inputs, bytes for those of bytes. */
export function feedFor(rng: Rng, graph: Graph) {
  return Object.fromEntries(
    graph.inputs.map(({ name, dtype, dims }) => {
      const count = elementCount(dims as number[]);
      const type = dtype as 'float32' | 'int8' | 'uint8';
      const data =
        type === 'float32'
          ? Float32Array.from({ length: count }, () => 4 * rng.next() - 2)
          : type === 'int8'
            ? Int8Array.from({ length: count }, () => randomInt(rng, 256) - 128)
            : Uint8Array.from({ length: count }, () => randomInt(rng, 256));
      return [name, { type, dims: dims as number[], data }];
    }),
  );
}

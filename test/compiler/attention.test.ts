import t from 'tap';
import { gaussian, Xoshiro128 } from '../../daemon/core/rng.js';
import { elementCount, floatTensor } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import { compile } from '../../firmware-bridge/compiler/index.js';
import { agreement, board, drawn } from './agreement.js';

const runtime = new SessionProcess();
t.teardown(() => runtime.stop());

const [width, heads, each, tokens] = [16, 2, 8, 5];

/** A builder with constants of its own: `w` draws weights, `f` and `bool` give what they are told. */
class Exporter extends GraphBuilder {
  readonly #rng = Xoshiro128.fromSeed(17);
  #count = 0;

  w(...dims: number[]): string {
    return this.f(
      dims,
      Array.from({ length: elementCount(dims) }, () => gaussian(this.#rng) / 3),
    );
  }

  f(dims: readonly number[], values: readonly number[]): string {
    return this.constant(`c${this.#count++}`, floatTensor(dims, values));
  }

  bool(dims: readonly number[], values: readonly number[]): string {
    const data = Uint8Array.from(values);
    return this.constant(`c${this.#count++}`, { dtype: 'bool', dims, data });
  }

  linear(x: string, out: number): string {
    return this.add(this.matMul(x, this.w(this.dimsOf(x).at(-1) as number, out)), this.w(out));
  }
}

type Heads = readonly [string, string, string];
const unbind = (b: Exporter, x: string): Heads =>
  b
    .nodeMulti('Split', [x, b.ints([1, 1, 1])], { axis: 0 }, { outputs: 3 })
    .map((part) => b.node('Squeeze', [part, b.ints([0])])) as [string, string, string];

/** One projection for queries, keys and values, as vision transformers write it. */
const joint = (b: Exporter, x: string): Heads => {
  const images = b.dimsOf(x)[0] as number;
  const split = b.reshape(b.linear(x, 3 * width), [images, tokens, 3, heads, each]);
  return unbind(b, b.transpose(split, [2, 0, 3, 1, 4]));
};

const apart = (b: Exporter, x: string): Heads =>
  [0, 1, 2].map(() => b.transpose(b.reshape(b.linear(x, width), [1, tokens, heads, each]), [0, 2, 1, 3])) as [
    string,
    string,
    string,
  ];

const attend = (b: Exporter, scores: string, values: string): string =>
  b.reshape(b.transpose(b.matMul(b.node('Softmax', [scores], { axis: -1 }), values), [0, 2, 1, 3]), [
    b.dimsOf(values)[0] as number,
    tokens,
    width,
  ]);

const across = (b: Exporter, keys: string): string => b.transpose(keys, [0, 1, 3, 2]);
const root = (b: Exporter): string => b.node('Sqrt', [b.f([], [each ** -0.5])]);
const products = (b: Exporter, [q, k]: Heads): string =>
  b.node('Div', [b.matMul(q, across(b, k)), b.f([], [each ** 0.5])]);
const causal = (hidden: number): number[] =>
  Array.from({ length: tokens * tokens }, (_, i) => (i % tokens > Math.floor(i / tokens) ? hidden : 0));
const square = [1, 1, tokens, tokens];

type Build = (b: Exporter, x: string) => string;
const masked =
  (mask: (b: Exporter) => string): Build =>
  (b, x) => {
    const all = joint(b, x);
    return attend(b, b.add(products(b, all), mask(b)), all[2]);
  };

/** Attention as exporters write it: scaled before or behind, both sides, masks of every kind. */
const attentions: Readonly<Record<string, Build>> = {
  'queries scaled': (b, x) => {
    const [q, k, v] = joint(b, x);
    return attend(b, b.matMul(b.mul(q, b.f([], [each ** -0.5])), across(b, k)), v);
  },
  'scores divided': (b, x) => {
    const all = joint(b, x);
    return attend(b, products(b, all), all[2]);
  },
  'queries and keys scaled by a root each': (b, x) => {
    const [q, k, v] = apart(b, x);
    return attend(b, b.matMul(b.mul(q, root(b)), b.mul(across(b, k), root(b))), v);
  },
  'keys turned in three axes': (b, x) => {
    const [q, k, v] = apart(b, x);
    const turned = b.transpose(b.reshape(k, [-1, tokens, each]), [0, 2, 1]);
    const keys = b.reshape(turned, [1, heads, each, tokens]);
    return attend(b, b.matMul(b.mul(q, root(b)), b.mul(keys, root(b))), v);
  },
  'a causal mask of minus infinity': masked((b) => b.f(square, causal(Number.NEGATIVE_INFINITY))),
  'a causal mask of the lowest float32': masked((b) => b.f(square, causal(-3.4028234663852886e38))),
  'a causal mask of -10000 and a bias by position': masked((b) =>
    b.f(
      square,
      causal(-10_000).map((value, i) => value + (value === 0 ? (i % 3) / 2 : 0)),
    ),
  ),
  'a causal mask that the network computes from shapes': masked((b) => {
    const ones = b.node('Expand', [b.bool([1], [1]), b.ints([tokens, tokens])]);
    const lower = b.node('Cast', [b.node('Trilu', [b.node('Cast', [ones], { to: 1 })], { upper: 0 })], {
      to: 9,
    });
    return b.node('Where', [lower, b.f([1], [0]), b.f([1], [Number.NEGATIVE_INFINITY])]);
  }),
  'a mask that chooses': (b, x) => {
    const all = joint(b, x);
    const shows = b.bool(
      square,
      causal(1).map((hides) => 1 - hides),
    );
    return attend(b, b.node('Where', [shows, products(b, all), b.f([], [-3.4028234663852886e38])]), all[2]);
  },
};

t.test('attention as exporters write it', async (t) => {
  for (const [name, build] of Object.entries(attentions))
    for (const images of name === 'queries scaled' ? [1, 2] : [1]) {
      const b = new Exporter({ name: 'attention', opset: 14 });
      b.output(build(b, b.input('x', 'float32', [images, tokens, width])), 'y');
      const graph = b.build();
      const inputs = [1, 2, 3, 4].map((seed) => drawn(graph, Xoshiro128.fromSeed(seed)));
      const { cosine, compiled } = await agreement(name, graph, inputs, runtime);
      t.ok(cosine > 0.997, `${name}: cosine ${cosine}`);
      const tables = compiled.records.filter(({ kind }) => kind === 'lookup').length;
      t.equal(tables, 0, `${name}: factors lie in the products`);
    }
});

/** Products of every rank, with constants on either side. */
const matrices: Readonly<Record<string, readonly [readonly number[], Build]>> = {
  'a batch of constants behind': [[2, 3, 4], (b, x) => b.matMul(x, b.w(2, 4, 5))],
  'a batch of constants before': [[2, 3, 4], (b, x) => b.matMul(b.w(2, 5, 3), x)],
  'a constant matrix before': [[2, 3, 4], (b, x) => b.matMul(b.w(5, 3), x)],
  'a constant vector behind': [[2, 3, 4], (b, x) => b.matMul(x, b.w(4))],
  'a constant vector before': [[2, 3, 4], (b, x) => b.matMul(b.w(3), x)],
  'a vector times a matrix': [[4], (b, x) => b.matMul(x, b.w(4, 3))],
  'a matrix times a vector': [[4], (b, x) => b.matMul(b.w(3, 4), x)],
  'two vectors': [[4], (b, x) => b.matMul(x, b.node('Tanh', [x]))],
  'a batch times one matrix': [[2, 3, 4], (b, x) => b.matMul(x, b.reshape(b.reduceMean(x, [0]), [4, 3]))],
  'one matrix times a batch': [
    [2, 3, 4],
    (b, x) => b.matMul(b.reduceMean(x, [0]), b.transpose(x, [0, 2, 1])),
  ],
  'each of a batch times each': [
    [2, 3, 4],
    (b, x) =>
      b.matMul(
        b.node('Unsqueeze', [x, b.ints([0])]),
        b.node('Unsqueeze', [b.transpose(x, [0, 2, 1]), b.ints([1])]),
      ),
  ],
  'constants of one batch axis only': [[2, 2, 3, 4], (b, x) => b.matMul(x, b.w(2, 1, 4, 3))],
  'Gemm of two activations': [
    [3, 4],
    (b, x) => b.node('Gemm', [x, b.node('Tanh', [x]), b.w(3)], { transB: 1, alpha: 0.5, beta: 2 }),
  ],
  'Gemm of a constant and an activation': [
    [3, 4],
    (b, x) => b.node('Gemm', [b.w(4, 5), x, b.w(5, 1)], { transA: 1, transB: 1, alpha: -0.5 }),
  ],
  'Gemm plus an activation': [
    [3, 4],
    (b, x) => b.node('Gemm', [x, b.w(4, 3), b.matMul(x, b.w(4, 3))], { alpha: -1 }),
  ],
};

t.test('products of matrices of every form', async (t) => {
  for (const [name, [dims, build]] of Object.entries(matrices)) {
    const b = new Exporter({ name: 'products', opset: 13 });
    const x = b.input('x', 'float32', dims);
    b.output(name.startsWith('Gemm of a constant') ? build(b, b.node('Tanh', [x])) : build(b, x), 'y');
    const graph = b.build();
    const inputs = [1, 2, 3, 4].map((seed) => drawn(graph, Xoshiro128.fromSeed(seed)));
    const { cosine } = await agreement(name, graph, inputs, runtime);
    t.ok(cosine > 0.998, `${name}: cosine ${cosine}`);
  }
});

t.test('scores that int8 cannot tell apart are refused', async (t) => {
  const b = new Exporter({ name: 'mask', opset: 13 });
  const x = b.input('x', 'float32', [1, 1, tokens, tokens]);
  b.output(
    b.node('Softmax', [b.add(x, b.mul(b.input('hides', 'float32', square), b.f([], [-10_000])))]),
    'y',
  );
  const calibration = async (_: unknown, values: readonly string[]) =>
    new Map(values.map((name) => [name, { min: name === 'x' ? -4 : -10_000, max: 4 }]));
  await t.rejects(compile(b.build(), { board, weights: 'real', calibration }), {
    code: 'OPERATOR_UNSUPPORTED',
    message: /is left steps of 39.* before a softmax/,
    hint: /mask/,
  });
});

t.test('what int8 leaves nothing of is refused', async (t) => {
  const refused = (message: RegExp, build: Build): Promise<unknown> => {
    const b = new Exporter({ name: 'large', opset: 13 });
    b.output(build(b, b.input('x', 'float32', [1, 4])), 'y');
    const calibration = async (_: unknown, values: readonly string[]) =>
      new Map(values.map((name) => [name, name === 'y' ? { min: -3, max: 0 } : { min: 0, max: 1e4 }]));
    return t.rejects(compile(b.build(), { board, weights: 'real', calibration }), {
      code: 'OPERATOR_UNSUPPORTED',
      message,
    });
  };
  await refused(/int8 tells apart steps of 39/, (b, x) => b.node('Softmax', [x]));
  await refused(/int8 tells apart steps of 39/, (b, x) => b.node('LogSoftmax', [x]));
  await refused(/less than one step of its operands/, (b, x) => b.node('Sub', [x, b.reduceMean(x, [-1])]));
});

t.test('a unit that calibration saw nothing of does not stop the others', async (t) => {
  const cases: Readonly<Record<string, Build>> = {
    'a layer whose inputs are all 0': (b, x) => {
      const dead = b.relu(b.node('Sub', [x, b.f([], [100])]));
      return b.add(b.linear(b.add(b.matMul(dead, b.w(16, 4)), b.f([4], [1e-30, 0, 2e-30, 0])), 16), x);
    },
    'weights that are next to nothing': (b, x) => {
      const tiny = Array.from({ length: 64 }, (_, i) => (i % 2 ? 1e-40 : -3e-41));
      return b.add(b.linear(b.relu(b.matMul(b.relu(x), b.f([16, 4], tiny))), 16), x);
    },
    'a difference of equals': (b, x) => b.add(b.node('Sub', [x, x]), x),
    'a mean of what is centred': (b, x) =>
      b.add(b.reduceMean(b.node('Sub', [x, b.reduceMean(x, [-1])]), [-1]), x),
    'limits far inside the range': (b, x) => b.add(b.clip(b.linear(x, 16), 0, 0.001), x),
  };
  for (const [name, build] of Object.entries(cases)) {
    const b = new Exporter({ name: 'dead', opset: 13 });
    b.output(build(b, b.input('x', 'float32', [1, 3, 16])), 'y');
    const graph = b.build();
    const inputs = [1, 2, 3, 4].map((seed) => drawn(graph, Xoshiro128.fromSeed(seed)));
    const { cosine } = await agreement(name, graph, inputs, runtime);
    t.ok(cosine > 0.998, `${name}: cosine ${cosine}`);
  }
});

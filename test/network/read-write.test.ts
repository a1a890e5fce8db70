import onnxProto from 'onnx-proto';
import t from 'tap';
import { HildaError } from '../../daemon/core/errors.js';
import { bindInputs } from '../../daemon/network/bind-inputs.js';
import { structureHash } from '../../daemon/network/canonical-text.js';
import type { Feed, Graph } from '../../daemon/network/graph.js';
import { checkNetworkLimits } from '../../daemon/network/limits.js';
import { modelBytes, sourceOf } from '../../daemon/network/model-source.js';
import { lengthDelimited } from '../../daemon/network/protobuf-fields.js';
import { readOnnx } from '../../daemon/network/read-onnx.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';

const { onnx } = onnxProto;
const { AttributeType } = onnx.AttributeProto;
type Value = onnxProto.onnx.IValueInfoProto;

const codeOf = (run: () => unknown): string => {
  try {
    run();
    return 'nothing thrown';
  } catch (error) {
    return error instanceof HildaError ? error.code : String(error);
  }
};

const dim = (size: number | string | null): onnxProto.onnx.TensorShapeProto.IDimension =>
  size === null ? {} : typeof size === 'string' ? { dimParam: size } : { dimValue: size };
const value = (name: string, dims?: (number | string | null)[], elemType = 1): Value => ({
  name,
  type: { tensorType: { elemType, ...(dims && { shape: { dim: dims.map(dim) } }) } },
});
const floats = (name: string, dims: number[], data: number[]): onnxProto.onnx.ITensorProto => ({
  name,
  dataType: 1,
  dims,
  floatData: data,
});
const model = (
  graph: onnxProto.onnx.IGraphProto,
  more: Partial<onnxProto.onnx.IModelProto> = {},
): Uint8Array =>
  onnx.ModelProto.encode({
    irVersion: 8,
    opsetImport: [{ domain: '', version: 17 }],
    graph: { name: 'g', ...graph },
    ...more,
  }).finish();

/** Files whose rewriting once changed or broke them. */
const awkward: Readonly<Record<string, Uint8Array>> = {
  'an LSTM with clip 3.0': model({
    input: [value('x', [2, 1, 3])],
    output: [value('y', [2, 1, 1, 4])],
    node: [
      {
        opType: 'LSTM',
        input: ['x', 'w', 'r'],
        output: ['y'],
        attribute: [
          { name: 'hidden_size', type: AttributeType.INT, i: 4 },
          { name: 'clip', type: AttributeType.FLOAT, f: 3 },
        ],
      },
    ],
    initializer: [floats('w', [1, 16, 3], Array(48).fill(0.1)), floats('r', [1, 16, 4], Array(64).fill(0.1))],
  }),
  'a Dropout with an integer seed': model({
    input: [value('x', [2])],
    output: [value('y', [2])],
    node: [
      {
        opType: 'Dropout',
        input: ['x'],
        output: ['y'],
        attribute: [{ name: 'seed', type: AttributeType.INT, i: 7 }],
      },
    ],
  }),
  'an output without a shape': model({
    input: [value('x', [2, 3])],
    output: [value('y')],
    node: [{ opType: 'Relu', input: ['x'], output: ['y'] }],
  }),
  'an output without a type': model({
    input: [value('x', [2, 3])],
    output: [{ name: 'y' }],
    node: [{ opType: 'Shape', input: ['x'], output: ['y'] }],
  }),
  'a sequence inside': model({
    input: [value('x', [4, 2])],
    output: [value('y')],
    node: [
      {
        opType: 'SplitToSequence',
        input: ['x', 'n'],
        output: ['s'],
        attribute: [{ name: 'axis', type: AttributeType.INT, i: 0 }],
      },
      { opType: 'SequenceAt', input: ['s', 'i'], output: ['y'] },
    ],
    initializer: [
      { name: 'n', dataType: 7, dims: [], int64Data: [2] },
      { name: 'i', dataType: 7, dims: [], int64Data: [0] },
    ],
  }),
  'a function of its own': model(
    {
      input: [value('x', [2])],
      output: [value('y', [2])],
      node: [
        {
          opType: 'Twice',
          domain: 'own',
          input: ['x'],
          output: ['y'],
          attribute: [{ name: 'by', type: AttributeType.FLOAT, f: 2 }],
        },
      ],
    },
    {
      opsetImport: [
        { domain: '', version: 17 },
        { domain: 'own', version: 3 },
      ],
      functions: [
        {
          name: 'Twice',
          domain: 'own',
          input: ['a'],
          output: ['c'],
          attribute: ['by'],
          opsetImport: [{ domain: '', version: 17 }],
          node: [
            {
              opType: 'Constant',
              output: ['b'],
              attribute: [{ name: 'value_float', refAttrName: 'by', type: AttributeType.FLOAT }],
            },
            { opType: 'Mul', input: ['a', 'b'], output: ['c'] },
          ],
        },
      ],
    },
  ),
  'constants that a caller may replace': model({
    input: [value('x', [2]), value('w', [2])],
    output: [value('y', [2])],
    node: [{ opType: 'Mul', input: ['x', 'w'], output: ['y'] }],
    initializer: [floats('w', [2], [2, 3])],
  }),
  'a file of IR version 3, constants among its inputs': model(
    {
      input: [value('x', [2]), value('w', [2])],
      output: [value('y', [2])],
      node: [{ opType: 'Mul', input: ['x', 'w'], output: ['y'] }],
      initializer: [floats('w', [2], [2, 3])],
    },
    { irVersion: 3, opsetImport: [{ domain: '', version: 7 }] },
  ),
  'a sparse constant': model({
    input: [value('x', [2, 3])],
    output: [value('y', [2, 3])],
    node: [{ opType: 'Add', input: ['x', 'w'], output: ['y'] }],
    sparseInitializer: [
      {
        values: floats('w', [2], [5, 7]),
        indices: { name: 'i', dataType: 7, dims: [2], int64Data: [1, 5] },
        dims: [2, 3],
      },
    ],
  }),
  'names of JavaScript and of nobody': model({
    input: [value('constructor', [2])],
    output: [value('toString', [2])],
    node: [
      { name: '', opType: 'Relu', input: ['constructor'], output: ['__proto__'] },
      { name: '', opType: 'Neg', input: ['__proto__'], output: ['toString'] },
    ],
  }),
  'branches that read the graph around them': model({
    input: [value('x', [2]), value('c', [], 9)],
    output: [value('y', [2])],
    node: [
      {
        opType: 'If',
        input: ['c'],
        output: ['y'],
        attribute: (['Relu', 'Neg'] as const).map((op, i) => ({
          name: i === 0 ? 'then_branch' : 'else_branch',
          type: AttributeType.GRAPH,
          g: {
            name: op,
            output: [value(`${op}.y`)],
            node: [{ opType: op, input: ['x'], output: [`${op}.y`] }],
          },
        })),
      },
    ],
  }),
};

t.test('reading and writing changes nothing that onnxruntime sees', async (t) => {
  const runtime = new SessionProcess();
  const { signal } = new AbortController();
  const answers = async (bytes: Uint8Array): Promise<unknown> => {
    const { handle, inputs, outputs } = await runtime.load(bytes, {}, { signal });
    const plain = outputs.filter(({ type }) => type === 'float32' || type === 'int64');
    const feeds = Object.fromEntries(
      inputs.map(({ name, type, dims }) => {
        const sizes = dims.map(Number);
        const count = sizes.reduce((a, b) => a * b, 1);
        const data =
          type === 'bool'
            ? new Uint8Array(count).fill(1)
            : Float32Array.from({ length: count }, (_, i) => Math.sin(i + 1));
        return [name, { type: type as 'float32', dims: sizes, data: data as Float32Array }];
      }),
    );
    const answer = await runtime.run(handle, feeds, { fetch: plain.map(({ name }) => name) }, { signal });
    await runtime.release(handle, { signal });
    return { inputs, answer };
  };
  try {
    for (const [what, bytes] of Object.entries(awkward)) {
      const graph = readOnnx(bytes);
      t.equal(modelBytes(graph), bytes, `${what}: a runtime gets the user's own bytes`);
      const written = writeOnnx(graph);
      // What the rewritten model lists as inputs differs for IR version 3 alone: its constants are none.
      const [before, after] = [await answers(bytes), await answers(written)] as [
        { answer: unknown; inputs: unknown },
        { answer: unknown; inputs: unknown },
      ];
      t.same(after.answer, before.answer, what);
      if (!what.includes('IR version 3')) t.same(after.inputs, before.inputs, what);
      t.equal(structureHash(readOnnx(written)), structureHash(graph), what);
      t.ok(Buffer.from(writeOnnx(readOnnx(written))).equals(Buffer.from(written)), `${what}: written twice`);
    }
  } finally {
    await runtime.stop();
  }
});

t.test('a graph that was changed no longer counts as the file', async (t) => {
  const graph = readOnnx(awkward['an output without a shape']!);
  t.ok(sourceOf(graph));
  t.equal(sourceOf({ ...graph, nodes: [...graph.nodes] }), undefined);
  t.equal(sourceOf(bindInputs(graph)), sourceOf(graph), 'fixed dimensions keep it');
  const changed = { ...graph.nodes[0]!, attributes: { alpha: 2 } };
  const read = readOnnx(writeOnnx({ ...graph, nodes: [changed] }));
  t.same(read.nodes[0]?.attributes, { alpha: 2 }, 'a new attribute is written beside those that were read');
});

t.test('the functions of a model are spelt out as runtimes do', async (t) => {
  const call = (by?: number): Uint8Array => {
    const proto = onnx.ModelProto.decode(awkward['a function of its own']!);
    const [node] = proto.graph!.node!;
    node!.attribute = by === undefined ? [] : [{ name: 'by', type: AttributeType.FLOAT, f: by }];
    return onnx.ModelProto.encode(proto).finish();
  };
  const graph = readOnnx(call(2));
  t.same(
    graph.nodes.map(({ op, inputs, outputs }) => [op, inputs.length, outputs.length]),
    [
      ['Constant', 0, 1],
      ['Mul', 2, 1],
    ],
  );
  t.same(graph.nodes[0]?.attributes, { value_float: 2 });
  t.same(graph.nodes[1]?.inputs[0], 'x');
  t.same(graph.nodes[1]?.outputs, ['y']);
  // A function with a default for `by`, a field that the package's schema does not know: 1.5.
  const attribute = onnx.AttributeProto.encode({ name: 'by', type: AttributeType.FLOAT, f: 1.5 }).finish();
  const proto = onnx.ModelProto.decode(call());
  const [twice] = proto.functions;
  const withDefault = Buffer.concat([
    onnx.FunctionProto.encode({ ...twice, attribute: [] }).finish(),
    lengthDelimited(11, [attribute]),
  ]);
  const bytes = Buffer.concat([
    onnx.ModelProto.encode({ ...proto, functions: [] }).finish(),
    lengthDelimited(25, [withDefault]),
  ]);
  t.same(readOnnx(bytes).nodes[0]?.attributes, { value_float: 1.5 });

  const other = onnx.ModelProto.decode(call(2));
  other.functions[0]!.opsetImport = [{ domain: '', version: 13 }];
  const kept = readOnnx(onnx.ModelProto.encode(other).finish());
  t.equal(kept.nodes[0]?.op, 'Twice', 'written for another operator set: the call stays');
  t.equal(onnx.ModelProto.decode(writeOnnx(kept)).functions.length, 1);

  const endless = onnx.ModelProto.decode(call(2));
  endless.functions[0]!.node = [{ opType: 'Twice', domain: 'own', input: ['a'], output: ['c'] }];
  t.equal(
    codeOf(() => readOnnx(onnx.ModelProto.encode(endless).finish())),
    'ONNX_INVALID',
  );
});

t.test('constants in another file', async (t) => {
  const weights = Float32Array.from([0, 9, 2, 3]);
  const withFields = (fields: Record<string, string>): Uint8Array =>
    model({
      input: [value('x', [2])],
      output: [value('y', [2])],
      node: [{ opType: 'Mul', input: ['x', 'w'], output: ['y'] }],
      initializer: [
        {
          name: 'w',
          dataType: 1,
          dims: [2],
          dataLocation: 1,
          externalData: Object.entries(fields).map(([key, value]) => ({ key, value })),
        },
      ],
    });
  const files = new Map([['sub/w.bin', new Uint8Array(weights.buffer)]]);
  const external = (location: string): Uint8Array | undefined => files.get(location);
  const bytes = withFields({ location: 'sub/w.bin', offset: '8', length: '8' });
  t.equal(
    codeOf(() => readOnnx(bytes)),
    'EXTERNAL_DATA_MISSING',
  );
  const graph = readOnnx(bytes, { external });
  t.same([...new Float32Array(graph.initializers.get('w')!.data.buffer)], [2, 3]);
  const inOneFile = readOnnx(modelBytes(graph));
  t.same([...inOneFile.initializers.get('w')!.data], [...graph.initializers.get('w')!.data]);
  t.equal(structureHash(inOneFile), structureHash(graph));
  for (const location of ['', '/etc/hostname', '../w.bin', 'a/../../w.bin', 'C:\\w.bin', '..\\w.bin', 'a\0b'])
    t.equal(
      codeOf(() => readOnnx(withFields({ location }), { external: () => new Uint8Array(64) })),
      'ONNX_INVALID',
      JSON.stringify(location),
    );
  for (const fields of [
    { location: 'sub/w.bin', offset: '12' },
    { location: 'sub/w.bin', offset: '-4' },
    { location: 'sub/w.bin', length: '4' },
    { location: 'sub/w.bin', offset: '99999999999999999999' },
  ])
    t.equal(
      codeOf(() => readOnnx(withFields(fields), { external })),
      'ONNX_INVALID',
      JSON.stringify(fields),
    );
});

t.test('open dimensions get sizes', async (t) => {
  const bytes = model({
    input: [value('x', ['N', 3, 'H', null]), value('mask', ['N', 'H'])],
    output: [value('y')],
    node: [{ opType: 'Identity', input: ['x'], output: ['y'] }],
  });
  const graph = readOnnx(bytes);
  const dims = (bound: Graph): unknown => bound.inputs.map(({ dims }) => dims);
  t.same(dims(bindInputs(graph, { shapes: { x: [2, 3, 8, 9] } })), [
    [2, 3, 8, 9],
    [2, 8],
  ]);
  t.throws(() => bindInputs(graph, { dims: { H: 8 } }), {
    code: 'SHAPE_UNKNOWN',
    message: /dimension 3 of x/,
  });
  const feed: Feed = { dtype: 'float32', dims: [4, 5], data: new Uint8Array(80) };
  t.same(dims(bindInputs(graph, { feeds: new Map([['mask', feed]]), shapes: { x: [4, 3, 5, 1] } })), [
    [4, 3, 5, 1],
    [4, 5],
  ]);
  for (const wrong of [
    { dims: { Q: 1 } },
    { dims: { H: 0 } },
    { dims: { H: 1.5 } },
    { shapes: { z: [1] } },
    { shapes: { x: [1, 4, 8, 9] } },
    { shapes: { x: [1, 3, 8] } },
    { shapes: { x: [1, 3, 8, -1] } },
    { dims: { H: 7 }, shapes: { x: [1, 3, 8, 9] } },
    { shapes: { x: [1, 3, 8, 9], mask: [2, 8] } },
  ])
    t.equal(
      codeOf(() => bindInputs(graph, wrong)),
      'REQUEST_INVALID',
      JSON.stringify(wrong),
    );
  const batch = readOnnx(
    model({
      input: [value('x', [null, 4]), value('state', [2, 'batch_size', 8]), value('length', ['B'])],
      output: [value('y')],
      node: [{ opType: 'Identity', input: ['x'], output: ['y'] }],
    }),
  );
  t.same(dims(bindInputs(batch)), [[1, 4], [2, 1, 8], [1]], 'an open batch is 1');
  const shapeless = readOnnx(
    model({
      input: [value('x')],
      output: [value('y')],
      node: [{ opType: 'Relu', input: ['x'], output: ['y'] }],
    }),
  );
  t.equal(
    codeOf(() => bindInputs(shapeless)),
    'SHAPE_UNKNOWN',
  );
  t.same(dims(bindInputs(shapeless, { shapes: { x: [2, 2] } })), [[2, 2]]);
});

t.test('limits hold where shapes are unknown', async (t) => {
  const huge = model({
    input: [value('x', [65536, 65536])],
    output: [value('y')],
    node: [{ opType: 'NoSuchOperator', input: ['x'], output: ['y'] }],
  });
  t.equal(
    codeOf(() => checkNetworkLimits(readOnnx(huge))),
    'NETWORK_TOO_LARGE',
  );
  const beside = model({
    input: [value('x', [1])],
    output: [value('y'), value('z')],
    node: [
      { opType: 'NoSuchOperator', input: ['x'], output: ['y'] },
      { opType: 'ConstantOfShape', input: ['s'], output: ['z'] },
    ],
    initializer: [{ name: 's', dataType: 7, dims: [2], int64Data: [65536, 65536] }],
  });
  t.equal(
    codeOf(() => checkNetworkLimits(readOnnx(beside))),
    'NETWORK_TOO_LARGE',
    'a value of known shape counts, though another operator is not known',
  );
  checkNetworkLimits(readOnnx(awkward['branches that read the graph around them']!));
});

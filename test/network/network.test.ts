import fc from 'fast-check';
import onnxProto from 'onnx-proto';
import t from 'tap';
import { canonicalText, structureHash, weightsHash } from '../../daemon/network/canonical-text.js';
import { floatsOf, floatTensor, type Graph, int64Tensor, type Node } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';
import { inferShapes } from '../../daemon/network/infer-shapes.js';
import { readOnnx } from '../../daemon/network/read-onnx.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { code, sample, weights } from './sample.js';

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

t.test('for all bytes, reading answers or throws ONNX_INVALID', async (t) => {
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

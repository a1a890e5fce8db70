import onnxProto from 'onnx-proto';
import t from 'tap';
import type { Device } from '../../daemon/devices/contract.js';
import { OnnxRuntimeDriver } from '../../daemon/devices/onnxruntime/driver.js';
import { bindInputs, type InputBindings } from '../../daemon/network/bind-inputs.js';
import { floatTensor, type Graph, int64Tensor } from '../../daemon/network/graph.js';
import { checkNetworkLimits } from '../../daemon/network/limits.js';
import { readOnnx } from '../../daemon/network/read-onnx.js';
import { contractProtocol } from '../contract/device-contract.js';

const { onnx } = onnxProto;
const { AttributeType, DataType } = { ...onnx.AttributeProto, ...onnx.TensorProto };
type Proto = onnxProto.onnx.IModelProto;
type Value = onnxProto.onnx.IValueInfoProto;
type Node = onnxProto.onnx.INodeProto;

const { signal } = new AbortController();

const dim = (size: number | string) => (typeof size === 'string' ? { dimParam: size } : { dimValue: size });
const tensorType = (elemType: number, dims?: readonly (number | string)[]) => ({
  tensorType: { elemType, ...(dims && { shape: { dim: dims.map(dim) } }) },
});
const value = (
  name: string,
  dims?: readonly (number | string)[],
  elemType: number = DataType.FLOAT,
): Value => ({
  name,
  type: tensorType(elemType, dims),
});
const sequence = (name: string): Value => ({
  name,
  type: { sequenceType: { elemType: tensorType(DataType.FLOAT, [2]) } },
});
const floats = (name: string, dims: number[], at: (i: number) => number = () => 0.1) => ({
  name,
  dataType: DataType.FLOAT,
  dims,
  floatData: Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => at(i)),
});
const node = (opType: string, input: string[], output: string[], more: Partial<Node> = {}): Node => ({
  opType,
  input,
  output,
  ...more,
});
const int = (name: string, i: number) => ({ name, type: AttributeType.INT, i });
const body = (name: string, g: onnxProto.onnx.IGraphProto) => ({ name, type: AttributeType.GRAPH, g });

const modelOf = (graph: onnxProto.onnx.IGraphProto, more: Partial<Proto> = {}): Uint8Array =>
  onnx.ModelProto.encode({
    irVersion: 8,
    opsetImport: [{ domain: '', version: 17 }],
    graph: { name: 'g', ...graph },
    ...more,
  } as Proto).finish();

/** Six times Conv, BatchNormalization, Relu; the constants are inputs too, where `replaceable`. */
function stack(replaceable: boolean): Uint8Array {
  const constants = Array.from({ length: 6 }, (_, i) => [
    floats(`w${i}`, [3, 3, 1, 1]),
    ...['scale', 'bias', 'mean', 'var'].map((part) => floats(`${part}${i}`, [3], () => 0.5)),
  ]).flat();
  const nodes = Array.from({ length: 6 }, (_, i) => [
    node('Conv', [i === 0 ? 'x' : `r${i - 1}`, `w${i}`], [`c${i}`]),
    node('BatchNormalization', [`c${i}`, `scale${i}`, `bias${i}`, `mean${i}`, `var${i}`], [`b${i}`]),
    node('Relu', [`b${i}`], [i === 5 ? 'y' : `r${i}`]),
  ]).flat();
  return modelOf({
    input: [
      value('x', [1, 3, 8, 8]),
      ...(replaceable ? constants.map(({ name, dims }) => value(name, dims)) : []),
    ],
    output: [value('y', [1, 3, 8, 8])],
    node: nodes,
    initializer: constants,
  });
}

const bound = (bytes: Uint8Array, bindings: InputBindings = {}): Graph => {
  const network = bindInputs(readOnnx(bytes), bindings);
  checkNetworkLimits(network);
  return network;
};

async function host(timeoutMs = 60_000): Promise<Device> {
  const driver = new OnnxRuntimeDriver({ timeoutMs });
  for await (const sighting of driver.discover({ signal })) return driver.open(sighting, { signal });
  throw new Error('no host');
}

t.test('the host runs the file itself', async (t) => {
  const device = await host();
  t.teardown(() => device.close());
  const executed = async (network: Graph): Promise<string[]> =>
    ((await device.profile?.(network, { signal })) ?? []).map(({ op }) => op);

  await t.test('constants that a caller may replace are not folded', async (t) => {
    t.equal((await executed(bound(stack(true)))).length, 18);
    t.notOk((await executed(bound(stack(false)))).includes('BatchNormalization'));
  });

  await t.test('a replaceable constant that the user gives replaces it', async (t) => {
    const bytes = modelOf({
      input: [value('x', [2]), value('w', [2])],
      output: [value('y', [2])],
      node: [node('Add', ['x', 'w'], ['y'])],
      initializer: [floats('w', [2])],
    });
    const feed = (dims: number[]) => new Map([['w', floatTensor(dims, [5, 6])]]);
    t.same(await executed(bound(bytes, { feeds: feed([2]) })), ['Add']);
    await t.rejects(executed(bound(bytes, { feeds: feed([1, 2]) })), {
      code: 'REQUEST_INVALID',
      message: /w takes float32 \[2\]/,
    });
  });

  await t.test('every type that the binding takes is fed, in the sizes that were bound', async (t) => {
    const types = [
      'FLOAT',
      'DOUBLE',
      'FLOAT16',
      'INT8',
      'UINT8',
      'INT16',
      'UINT16',
      'INT32',
      'UINT32',
      'INT64',
    ];
    for (const type of [...types, 'UINT64', 'BOOL', 'STRING'] as (keyof typeof DataType)[]) {
      const bytes = modelOf({
        input: [value('x', ['batch', 'T'], DataType[type] as number)],
        output: [value('y', ['batch', 'T'], DataType[type] as number)],
        node: [node('Identity', ['x'], ['y'])],
      });
      const [cost] = (await device.profile?.(bound(bytes, { dims: { T: 5 } }), { signal })) ?? [];
      t.equal(cost?.op, 'Identity', type);
    }
    const half = modelOf({
      input: [value('x', ['N', 2], DataType.FLOAT16)],
      output: [value('y', ['N', 2], DataType.FLOAT16)],
      node: [node('Add', ['x', 'x'], ['y'])],
    });
    const outputs = await device.run?.(
      bound(half),
      { x: { dims: [1, 2], data: Float32Array.of(1.5, -0.1) } },
      { signal },
    );
    t.same(outputs?.y, { dims: [1, 2], data: Float32Array.of(3, -0.199951171875) });
    const ids = modelOf({
      input: [value('ids', [1, 'T'], DataType.INT64)],
      output: [value('y')],
      node: [node('Gather', ['table', 'ids'], ['y'])],
      initializer: [floats('table', [4, 1], (i) => i)],
    });
    const rows = await device.run?.(
      bound(ids, { dims: { T: 3 } }),
      { ids: { dims: [1, 3], data: Float32Array.of(3, 0, 2) } },
      { signal },
    );
    t.same([...(rows?.y?.data ?? [])], [3, 0, 2]);
  });

  await t.test('what hilda has no rule for is measured, its MACs unknown', async (t) => {
    const branch = (name: string, op: string) => ({
      name,
      output: [value(name)],
      node: [node(op, ['x'], [name])],
    });
    const files: Readonly<Record<string, Uint8Array>> = {
      'If with branches': modelOf({
        input: [value('x', [4]), value('go', [], DataType.BOOL)],
        output: [value('y', [4])],
        node: [
          node('If', ['go'], ['y'], {
            attribute: [body('then_branch', branch('a', 'Sin')), body('else_branch', branch('b', 'Cos'))],
          }),
        ],
      }),
      'an LSTM': modelOf({
        input: [value('x', [2, 1, 3])],
        output: [value('y')],
        node: [node('LSTM', ['x', 'w', 'r'], ['y'], { attribute: [int('hidden_size', 4)] })],
        initializer: [floats('w', [1, 16, 3]), floats('r', [1, 16, 4])],
      }),
      'a GRU': modelOf({
        input: [value('x', [2, 1, 3])],
        output: [value('y')],
        node: [node('GRU', ['x', 'w', 'r'], ['y'], { attribute: [int('hidden_size', 4)] })],
        initializer: [floats('w', [1, 12, 3]), floats('r', [1, 12, 4])],
      }),
      'a sequence inside': modelOf({
        input: [value('x', [2])],
        output: [value('y')],
        node: [
          node('SequenceConstruct', ['x', 'x'], ['s']),
          node('ConcatFromSequence', ['s'], ['y'], { attribute: [int('axis', 0)] }),
        ],
      }),
      'a sequence among the outputs': modelOf({
        input: [value('x', [2])],
        output: [sequence('s'), value('y', [2])],
        node: [node('SequenceConstruct', ['x', 'x'], ['s']), node('Relu', ['x'], ['y'])],
      }),
      "an operator of onnxruntime's own": modelOf(
        {
          input: [value('x', [1, 4])],
          output: [value('y', [1, 4])],
          node: [node('FastGelu', ['x'], ['y'], { domain: 'com.microsoft' })],
        },
        {
          opsetImport: [
            { domain: '', version: 17 },
            { domain: 'com.microsoft', version: 1 },
          ] as never,
        },
      ),
      'a local function': modelOf(
        {
          input: [value('x', [4])],
          output: [value('y', [4])],
          node: [node('Twice', ['x'], ['y'], { domain: 'mine' })],
        },
        {
          opsetImport: [
            { domain: '', version: 17 },
            { domain: 'mine', version: 1 },
          ] as never,
          functions: [
            {
              name: 'Twice',
              domain: 'mine',
              input: ['a'],
              output: ['b'],
              node: [node('Sin', ['a'], ['m']), node('Add', ['m', 'm'], ['b'])],
              opsetImport: [{ domain: '', version: 17 }],
            },
          ] as never,
        },
      ),
    };
    for (const [what, bytes] of Object.entries(files)) {
      const { memory, manifest } = await device.measure(bound(bytes), contractProtocol, { signal });
      t.ok((memory.activationPeakBytes ?? 0) > 0, what);
      t.equal(manifest.memorySource, "the runtime's own counter", what);
    }
  });

  await t.test('what cannot be fed or fetched is refused by its name', async (t) => {
    const refused = (network: Graph, expected: { code: string; message?: RegExp; hint?: RegExp }) =>
      t.rejects(device.measure(network, contractProtocol, { signal }), expected);
    const unpacked = {
      output: [value('y', [2])],
      node: [node('SequenceAt', ['words', 'zero'], ['y'])],
      initializer: [{ name: 'zero', dataType: DataType.INT64, dims: [], int64Data: [0] }],
    };
    await refused(bound(modelOf({ input: [sequence('words')], ...unpacked })), {
      code: 'NETWORK_REJECTED',
      message: /words .*sequence/,
    });
    const only = modelOf({
      input: [value('x', [2])],
      output: [sequence('s')],
      node: [node('SequenceConstruct', ['x', 'x'], ['s'])],
    });
    await refused(bound(only), {
      code: 'NETWORK_REJECTED',
      message: /no output is a tensor: s/,
      hint: /add an output/,
    });
    const brain = modelOf({
      input: [value('x', [2], DataType.BFLOAT16)],
      output: [value('y', [2])],
      node: [node('Cast', ['x'], ['y'], { attribute: [int('to', DataType.FLOAT)] })],
    });
    await refused(bound(brain), { code: 'NETWORK_REJECTED', message: /x has the type bfloat16/ });
    const shapeless = modelOf({
      input: [value('x')],
      output: [value('y')],
      node: [node('Relu', ['x'], ['y'])],
    });
    t.throws(() => bound(shapeless), { code: 'SHAPE_UNKNOWN', hint: /--shape x=/ });
    await t.rejects(device.measure(readOnnx(shapeless), contractProtocol, { signal }), {
      code: 'SHAPE_UNKNOWN',
      hint: /--shape x=/,
    });
    t.equal((await executed(bound(shapeless, { shapes: { x: [2, 3] } })))[0], 'Relu');
    const given = new Map([['x', int64Tensor([1, 2])]]);
    const wrongType = modelOf({
      input: [value('x', [2])],
      output: [value('y')],
      node: [node('Relu', ['x'], ['y'])],
    });
    await refused(bound(wrongType, { feeds: given }), {
      code: 'REQUEST_INVALID',
      message: /x takes float32/,
    });
  });
});

t.test('an endless Loop is stopped, a huge value refused', async (t) => {
  const device = await host(4000);
  t.teardown(() => device.close());
  const endless = modelOf({
    input: [value('x', [1])],
    output: [value('y', [1])],
    node: [
      node('Loop', ['trips', 'yes', 'x'], ['y'], {
        attribute: [
          body('body', {
            name: 'body',
            input: [value('i', [], DataType.INT64), value('go', [], DataType.BOOL), value('a', [1])],
            output: [value('again', [], DataType.BOOL), value('b', [1])],
            node: [node('Identity', ['go'], ['again']), node('Add', ['a', 'one'], ['b'])],
            initializer: [floats('one', [1], () => 1)],
          }),
        ],
      }),
    ],
    initializer: [
      { name: 'trips', dataType: DataType.INT64, dims: [], int64Data: [2 ** 50] },
      { name: 'yes', dataType: DataType.BOOL, dims: [], int32Data: [1] },
    ],
  });
  await t.rejects(device.measure(bound(endless), contractProtocol, { signal }), { code: 'DEVICE_TIMEOUT' });
  // The size is computed by an operator that has no rule, so that only the run finds out.
  const huge = modelOf({
    input: [value('x', [1])],
    output: [value('y', ['n'])],
    node: [
      node('Sin', ['x'], ['s']),
      node('BitShift', ['one', 'by'], ['size'], {
        attribute: [{ name: 'direction', type: AttributeType.STRING, s: new TextEncoder().encode('LEFT') }],
      }),
      node('Cast', ['size'], ['sizes'], { attribute: [int('to', DataType.INT64)] }),
      node('Expand', ['s', 'sizes'], ['y']),
    ],
    initializer: [
      { name: 'one', dataType: DataType.UINT64, dims: [1], uint64Data: [1] },
      { name: 'by', dataType: DataType.UINT64, dims: [1], uint64Data: [33] },
    ],
  });
  await t.rejects(device.measure(bound(huge), contractProtocol, { signal }), {
    code: 'DEVICE_OUT_OF_MEMORY',
  });
  t.equal(
    (await device.profile?.(bound(stack(false)), { signal }))?.[0]?.provider,
    'cpu',
    'the next one works',
  );
});

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { deserialize, serialize } from 'node:v8';
import t from 'tap';
import { systemClock } from '../../daemon/core/clock.js';
import type { HildaError } from '../../daemon/core/errors.js';
import { floatTensor, type Graph, int64Tensor, origin } from '../../daemon/network/graph.js';
import { packGraph, unpackGraph } from '../../daemon/network/graph-message.js';
import { sourceOf } from '../../daemon/network/model-source.js';
import { readOnnx } from '../../daemon/network/read-onnx.js';
import { checkWireSize } from '../../daemon/network/wire-size.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { ModelReader } from '../../daemon/reading/model-reader.js';
import {
  chain,
  field,
  message,
  model,
  named,
  nested,
  node,
  packedLongs,
  rightChain,
  value,
} from '../../scripts/bench/attacks/models.js';
import { heavyNetwork } from '../lines/heavy-network.js';

const codeOf = (run: () => unknown): string | undefined => {
  try {
    run();
  } catch (error) {
    return (error as HildaError).code ?? String(error);
  }
};

const limitsOf = (maxDecodedBytes: number) => ({ maxNodes: 10 ** 6, maxDepth: 96, maxDecodedBytes });

t.test('files are counted on the wire before they are decoded', async (t) => {
  checkWireSize(chain(1000));
  t.equal(
    codeOf(() => checkWireSize(chain(100_001))),
    'NETWORK_TOO_LARGE',
  );
  t.equal(
    codeOf(() => checkWireSize(packedLongs(17_000_000))),
    'NETWORK_TOO_LARGE',
    'an object for each byte',
  );
  checkWireSize(packedLongs(1_000_000));
  t.equal(
    codeOf(() => checkWireSize(nested(100))),
    'NETWORK_TOO_LARGE',
  );
  checkWireSize(nested(20));
  const inputs = field(11, value('x', 1));
  t.equal(
    codeOf(() => checkWireSize(model(...Array.from({ length: 2000 }, () => inputs)), limitsOf(100_000))),
    'NETWORK_TOO_LARGE',
    'inputs count, too',
  );
  // Function bodies hold operators as graphs do.
  const body = Buffer.concat(Array.from({ length: 11 }, () => field(7, node('Relu', ['x'], 'y'))));
  const called = message(model(field(1, node('f', ['x'], 'y'))), field(25, body));
  t.equal(
    codeOf(() => checkWireSize(called, { ...limitsOf(10 ** 9), maxNodes: 10 })),
    'NETWORK_TOO_LARGE',
  );
  // Marked as a number, the decoder takes it for a message all the same: the count would pass it by.
  const mislabelled = Uint8Array.from([7 * 8, 2, 0x0a, 0x00]);
  t.equal(
    codeOf(() => checkWireSize(mislabelled)),
    'ONNX_INVALID',
  );
  for (const cut of [1, 5, 17, 40]) checkWireSize(rightChain(50).subarray(0, -cut));
});

/** Inner graphs, open sizes, integers of 64 bits, an operator and an attribute that hilda does not read. */
function everything(): Uint8Array {
  const inner: Graph = {
    name: 'then',
    opset: 17,
    inputs: [],
    outputs: [{ name: 'a', dtype: 'float32', dims: ['n', 2] }],
    initializers: new Map([['w', floatTensor([1, 2], [1, 2])]]),
    nodes: [{ name: 'i', op: 'Add', domain: '', inputs: ['x', 'w'], outputs: ['a'], attributes: {} }],
  };
  const graph: Graph = {
    name: 'everything',
    opset: 17,
    inputs: [
      { name: 'x', dtype: 'float32', dims: ['n', 2] },
      { name: 'c', dtype: 'bool', dims: [] },
    ],
    outputs: [{ name: 'y', dtype: 'float32', dims: [null, 2] }],
    initializers: new Map([['shape', int64Tensor([-1, 2])]]),
    nodes: [
      {
        name: 'if',
        op: 'If',
        domain: '',
        inputs: ['c'],
        outputs: ['r'],
        attributes: { then_branch: inner, else_branch: inner },
      },
      {
        name: 're',
        op: 'Reshape',
        domain: '',
        inputs: ['r', 'shape'],
        outputs: ['y'],
        attributes: { allowzero: 0 },
      },
    ],
  };
  return writeOnnx(graph);
}

t.test('a graph crosses to another process and is written as the same file', async (t) => {
  const opaque = field(
    5,
    message(field(1, 'types'), Uint8Array.from([20 * 8 - 128 + 128, 1, 14]), field(15, message())),
  );
  const files = [
    everything(),
    rightChain(3),
    model(field(1, node('Odd', ['x'], 'y', opaque)), field(11, value('x', 1)), field(12, value('y', 1))),
  ];
  for (const file of files) {
    const graph = readOnnx(file);
    const arrived = unpackGraph(deserialize(serialize(packGraph(graph))) as Graph);
    t.same(writeOnnx(arrived), writeOnnx(graph));
    t.equal(arrived.nodes[0]?.[origin] === undefined, graph.nodes[0]?.[origin] === undefined);
    t.same(arrived.initializers, graph.initializers);
  }
});

t.test('models are read in a process that may be lost', async (t) => {
  const reader = new ModelReader({ clock: systemClock });
  t.teardown(() => reader.stop());
  const file = everything();
  const graph = await reader.read(file);
  t.same(
    graph.nodes.map(({ op }) => op),
    ['If', 'Reshape'],
  );
  t.equal(sourceOf(graph), file, 'its source are the bytes that were given');
  t.same(writeOnnx(graph), writeOnnx(readOnnx(file)));
  await t.rejects(reader.read(new Uint8Array([1, 2, 3])), { code: 'ONNX_INVALID' });
  await t.rejects(reader.read(chain(100_001)), { code: 'NETWORK_TOO_LARGE' });
  await t.rejects(reader.read(nested(31)), { code: /ONNX_INVALID|NETWORK_TOO_LARGE/ });
  for (const op of ['constructor', '__proto__']) t.equal((await reader.read(named(op))).nodes[0]?.op, op);

  // A large file is handed over by path, to a child that runs elsewhere.
  const place = await mkdtemp(join(tmpdir(), 'hilda-reader-'));
  t.teardown(() => rm(place, { recursive: true, force: true }));
  const beside = new ModelReader({ clock: systemClock, folder: relative('.', join(place, 'reading')) });
  t.teardown(() => beside.stop());
  t.equal((await beside.read(writeOnnx(heavyNetwork(2e6)))).nodes[0]?.op, 'MatMul');

  const poor = new ModelReader({ clock: systemClock, heapBytes: 24 * 2 ** 20 });
  t.teardown(() => poor.stop());
  await t.rejects(poor.read(rightChain(90_000)), { code: 'NETWORK_TOO_LARGE' }, 'its memory ends');
  t.equal((await poor.read(file)).nodes.length, 2, 'the next file finds a process');
  const hasty = new ModelReader({ clock: systemClock, timeoutMs: 1 });
  t.teardown(() => hasty.stop());
  await t.rejects(hasty.read(rightChain(90_000)), { code: 'NETWORK_TOO_LARGE' }, 'its time ends');

  const full = new ModelReader({ clock: systemClock, mostWaiting: 2 });
  t.teardown(() => full.stop());
  const two = [full.read(file), full.read(file)];
  await t.rejects(full.read(file), { code: 'REQUESTS_LIMITED' });
  await Promise.all(two);
  await full.stop();
  await t.rejects(full.read(file), { code: 'INTERRUPTED' });
});

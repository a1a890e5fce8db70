import t from 'tap';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import type { Tensors } from '../../daemon/devices/contract.js';
import { freshNames, sharedNames } from '../../daemon/network/fresh-names.js';
import { floatTensor, type Graph, type Node } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';
import { quantiseNodes } from '../../daemon/network/quantise-nodes.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import type { RuntimeTensors } from '../../daemon/runtime/messages.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import { valueRanges } from '../../daemon/runtime/value-ranges.js';
import { compile } from '../../firmware-bridge/compiler/index.js';
import { prepare } from '../../firmware-bridge/compiler/passes/prepare.js';
import { agreement, board, drawn } from './agreement.js';
import { constantsOf } from './networks.js';

const { signal } = new AbortController();
const runtime = new SessionProcess();
t.teardown(() => runtime.stop());

/** Every pass that makes constants up finds something here: two layers of each kind, some with weights in common. */
function network(): Graph {
  const b = new GraphBuilder({ name: 'names' });
  const w = constantsOf(b, Xoshiro128.fromSeed(11));
  const image = b.input('image', 'float32', [1, 4, 4, 4]);
  const positive = (name: string) => b.constant(name, floatTensor([4], [0.5, 1, 1.5, 2]));
  const kernel = w(4, 4, 3, 3);
  const statistics = [w(4), w(4), w(4), positive('variance')];
  const norm = (x: string) => b.node('BatchNormalization', [x, ...statistics]);
  const twice = norm(b.conv(norm(b.conv(image, kernel)), kernel, w(4)));
  const tokens = b.transpose(b.reshape(b.add(twice, norm(b.relu(image))), [0, 4, 16]), [0, 2, 1]);
  const centred = b.node('Sub', [tokens, b.reduceMean(tokens, [-1])]);
  const variance = b.reduceMean(b.node('Pow', [centred, b.scalar(2)]), [-1]);
  const deviation = b.node('Sqrt', [b.add(variance, b.scalar(1e-5))]);
  const layer = b.add(b.mul(b.node('Div', [centred, deviation]), w(4)), w(4));
  const square = w(4, 4);
  const chain = b.add(b.matMul(b.matMul(layer, w(4, 2)), w(2, 4)), w(4));
  const mixed = b.mul(b.matMul(b.matMul(b.relu(chain), square), square), b.scalar(0.5));
  const rows = b.reshape(mixed, [16, 4]);
  const gemm = (x: string, more: Readonly<Record<string, number>>) =>
    b.node('Gemm', [x, square, w(more.transA ? 16 : 1, 1)], more);
  b.output(b.add(gemm(rows, { transB: 1, alpha: 0.5 }), gemm(b.transpose(rows, [1, 0]), { transA: 1 })), 'y');
  return b.build();
}

/** The graph with other names for its constants. */
function renamed(graph: Graph, name: ReadonlyMap<string, string>): Graph {
  const of = (old: string): string => name.get(old) ?? old;
  return {
    ...graph,
    initializers: new Map([...graph.initializers].map(([old, tensor]) => [of(old), tensor])),
    nodes: graph.nodes.map((node): Node => ({ ...node, inputs: node.inputs.map(of) })),
  };
}

t.test('a network whose constants have the names that passes make up stays the same network', async (t) => {
  const graph = network();
  const options = { cost: { perMac: 1, perOutput: 0 }, lowRank: 'always' } as const;
  const made = [...prepare(graph, options).graph.initializers.keys()].filter(
    (name) => !graph.initializers.has(name),
  );
  t.ok(made.length >= 12, made.join(' '));
  const wanted = await compile(graph, { board, weights: 'real', lowRank: 'always' });
  const own = [...graph.initializers.keys()];
  for (let shift = 0; shift < made.length; shift++) {
    const names = new Map(own.map((name, i) => [name, made[i + shift] ?? name]));
    const clash = await compile(renamed(graph, names), { board, weights: 'real', lowRank: 'always' });
    t.same(clash.program, wanted.program, `shifted by ${shift}`);
  }
  const names = new Map(own.map((name, i) => [name, made[i] ?? name]));
  const inputs = Array.from({ length: 6 }, (_, i) => drawn(graph, Xoshiro128.fromSeed(i)));
  const { cosine } = await agreement('names', renamed(graph, names), inputs, runtime);
  t.ok(cosine > 0.99, `cosine ${cosine}`);
});

t.test('names that calibration and int8 nodes make up', async (t) => {
  const graph = network();
  const values = graph.nodes.flatMap((node) => node.outputs);
  const { dims, data } = drawn(graph, Xoshiro128.fromSeed(3)).image as Tensors[string];
  const feeds = [{ image: { type: 'float32' as const, dims, data } }];
  const ranges = await valueRanges(graph, values, feeds, runtime, { signal });
  const [one, other] = [...graph.initializers.keys()] as [string, string];
  const clash = renamed(
    graph,
    new Map([
      [one, 'least.0'],
      [other, 'most.3'],
    ]),
  );
  t.same(await valueRanges(clash, values, feeds, runtime, { signal }), ranges);
  const isInt8 = ({ op }: Node): boolean => op === 'Conv' || op === 'MatMul';
  const rangeOf = (value: string) => ranges.get(value);
  const plain = quantiseNodes(graph, { isInt8, rangeOf });
  const made = [...plain.initializers.keys()].filter((name) => !graph.initializers.has(name));
  const names = new Map([...graph.initializers.keys()].map((name, i) => [name, made[i] ?? name]));
  const run = async (network: Graph): Promise<unknown> => {
    const { handle } = await runtime.load(writeOnnx(network), {}, { signal });
    const answer = await runtime.run(handle, feeds[0] as RuntimeTensors, {}, { signal });
    await runtime.release(handle, { signal });
    return answer.y?.data;
  };
  t.same(await run(quantiseNodes(renamed(graph, names), { isInt8, rangeOf })), await run(plain));
});

t.test('fresh names', async (t) => {
  const inner: Graph = { ...network(), name: 'inner' };
  const graph = network();
  const [node, ...nodes] = graph.nodes as [Node, ...Node[]];
  const outer = { ...graph, nodes: [{ ...node, name: 'a node', attributes: { body: inner } }, ...nodes] };
  const fresh = freshNames(outer);
  t.equal(fresh('y'), 'y.2');
  t.equal(fresh('y'), 'y.3', 'none twice');
  t.equal(fresh('a node'), 'a node.2');
  t.equal(fresh('image'), 'image.2');
  t.equal(fresh('constructor'), 'constructor');
  const shared = sharedNames(fresh);
  t.same([shared('y'), shared('y'), shared('new')], ['y.4', 'y.4', 'new']);
});

import t from 'tap';
import { pick as choose, type Rng, randomInt, shuffled, Xoshiro128 } from '../../../daemon/core/rng.js';
import { floatTensor, type Graph } from '../../../daemon/network/graph.js';
import { GraphBuilder } from '../../../daemon/network/graph-builder.js';
import { inferShapes } from '../../../daemon/network/infer-shapes.js';
import { settleLayout } from '../../../daemon/network/tflite/settle-layout.js';
import { writeOnnx } from '../../../daemon/network/write-onnx.js';
import { SessionProcess } from '../../../daemon/runtime/session-process.js';
import { count, drawn, furthest } from './run-converted.js';

const runtime = new SessionProcess();
t.teardown(() => runtime.stop());
t.setTimeout(300_000);

/** One random node on values so far: anything that Transposes may move through, and a few things they may not. */
function grow(b: GraphBuilder, live: string[], rng: Rng): void {
  const x = rng.next() < 0.6 ? (live.at(-1) as string) : choose(rng, live);
  const dims = b.dimsOf(x);
  const rank = dims.length;
  const axis = randomInt(rng, rank);
  const constant = (shape: readonly number[]): string =>
    b.constant(`c${live.length}.${randomInt(rng, 1e9)}`, floatTensor(shape, drawn(rng, shape, -1, 1)));
  const tail = dims.slice(randomInt(rng, rank)).map((size) => (rng.next() < 0.3 ? 1 : size));
  const kinds: Record<string, () => string | readonly string[]> = {
    transpose: () => b.transpose(x, shuffled(rng, [...dims.keys()])),
    turn: () => b.transpose(x, shuffled(rng, [...dims.keys()])),
    relu: () => b.relu(x),
    clip: () => b.clip(x, -0.5, 0.5),
    scale: () => b.mul(x, constant(tail)),
    shift: () => b.add(constant(tail), x),
    slope: () => b.node('PRelu', [x, constant(tail)]),
    add: () =>
      b.add(
        x,
        choose(
          rng,
          live.filter((other) => `${b.dimsOf(other)}` === `${dims}`),
        ),
      ),
    concat: () => {
      const others = live.filter((other) => {
        const shape = b.dimsOf(other);
        return shape.length === rank && shape.every((size, i) => i === axis || size === dims[i]);
      });
      return b.concat([x, choose(rng, others)], axis);
    },
    mean: () => b.reduceMean(x, [axis], 1),
    shrink: () => (rank > 1 ? b.reduceMean(x, [axis, (axis + 1) % rank], 0) : x),
    softmax: () => b.softmax(x, axis),
    slice: () => ((dims[axis] as number) > 1 ? b.slice(x, axis - rank, 1, dims[axis] as number) : x),
    split: () => ((dims[axis] as number) > 1 ? b.split(x, axis, [1, (dims[axis] as number) - 1]) : x),
    pad: () =>
      b.node('Pad', [x, b.ints([...dims.map((_, i) => i % 2), ...dims.map((_, i) => Number(i === axis))])]),
    flat: () => b.reshape(x, [count(dims)]),
    spread: () => b.reshape(x, [1, ...dims]),
    choose: () => b.node('Where', [b.node('Greater', [x, b.scalar(0)]), x, constant(tail)]),
    rounded: () => {
      const [scale, zero] = [
        b.scalar(0.25),
        b.constant(`z${live.length}.${randomInt(rng, 1e9)}`, {
          dtype: 'int8',
          dims: [],
          data: Uint8Array.of(3),
        }),
      ];
      return b.node('DequantizeLinear', [b.node('QuantizeLinear', [x, scale, zero]), scale, zero]);
    },
  };
  if (rank === 0 || rank > 5 || count(dims) > 2000) return;
  const made = (kinds[choose(rng, Object.keys(kinds))] as () => string | readonly string[])();
  live.push(...(typeof made === 'string' ? [made] : made));
}

const transposes = ({ nodes }: Graph): number => nodes.filter(({ op }) => op === 'Transpose').length;

t.test('moving Transposes changes no result', async (t) => {
  const rng = Xoshiro128.fromSeed(91);
  const { signal } = new AbortController();
  const found = { worst: 0, before: 0, after: 0 };
  for (let k = 0; k < 60; k++) {
    const b = new GraphBuilder({ name: 'random' });
    const live = ['x', 'y'].map((name) => b.input(name, 'float32', [1, 4, 3, 2]));
    for (let n = 0; n < 14; n++) grow(b, live, rng);
    [live.at(-1) as string, choose(rng, live), choose(rng, live)].forEach((value, i) => {
      b.output(value, `out${i}`);
    });
    const graph = b.build();
    const settled = settleLayout(graph, inferShapes(graph), { maxCopiedBytes: 2 ** 20 });
    const shapes = inferShapes(settled);
    const feeds = Object.fromEntries(
      graph.inputs.map(
        ({ name }) =>
          [name, { type: 'float32', dims: [1, 4, 3, 2], data: Float32Array.from(drawn(rng, [24])) }] as const,
      ),
    );
    const answers = [];
    for (const network of [graph, settled]) {
      const { handle } = await runtime.load(
        writeOnnx(network),
        { arena: false, optimisation: 'disabled' },
        { signal },
      );
      answers.push(await runtime.run(handle, feeds, {}, { signal }));
      await runtime.release(handle, { signal });
    }
    for (const { name } of graph.outputs) {
      const [a, c] = answers.map((answer) => answer[name]);
      const values = [a, c].map((tensor) => Array.from(tensor?.data as ArrayLike<number>, Number));
      found.worst = Math.max(found.worst, furthest(values[1] as number[], values[0] as number[]));
      t.same(c?.dims, a?.dims);
      t.same(shapes.get(name)?.dims, a?.dims);
    }
    found.before += transposes(graph);
    found.after += transposes(settled);
  }
  t.ok(found.worst < 1e-5 && found.after < found.before, JSON.stringify(found));
});

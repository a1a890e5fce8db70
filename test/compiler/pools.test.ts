import t from 'tap';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import { compile } from '../../firmware-bridge/compiler/index.js';
import { agreement, board, drawn } from './agreement.js';

const runtime = new SessionProcess();
t.teardown(() => runtime.stop());

const shapes = [
  { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] },
  { kernel_shape: [3, 2], strides: [2, 3], pads: [1, 0, 2, 1] },
  { kernel_shape: [4, 4], strides: [3, 3], pads: [2, 1, 1, 2] },
] as const;

t.test('windows that hang over the end, count their padding or stand apart', async (t) => {
  for (const op of ['AveragePool', 'MaxPool'])
    for (const { kernel_shape, strides, pads } of shapes)
      for (const ceil_mode of [0, 1])
        for (const count_include_pad of op === 'AveragePool' ? [0, 1] : [0])
          for (const more of [
            { pads: [...pads] },
            { pads: [...pads], dilations: [2, 1] },
            { auto_pad: 'SAME_UPPER' },
            { auto_pad: 'SAME_LOWER' },
            { auto_pad: 'VALID' },
          ]) {
            const attributes = {
              kernel_shape: [...kernel_shape],
              strides: [...strides],
              ceil_mode,
              ...(op === 'AveragePool' && { count_include_pad }),
              ...more,
            };
            const b = new GraphBuilder({ name: 'pool', opset: 19 });
            b.output(b.node(op, [b.input('x', 'float32', [1, 2, 8, 7])], attributes), 'y');
            const graph = b.build();
            const inputs = [1, 2].map((seed) => drawn(graph, Xoshiro128.fromSeed(seed)));
            const { steps } = await agreement(op, graph, inputs, runtime);
            t.ok(steps < 2, `${op} ${JSON.stringify(attributes)}: ${steps} steps`);
          }
});

t.test('windows larger than their image are cut off, or leave nothing', async (t) => {
  const more = [
    { kernel_shape: [5, 2], strides: [3, 1] },
    { kernel_shape: [4, 4], strides: [2, 3], pads: [1, 0, 0, 0] },
    { kernel_shape: [3, 4], strides: [4, 4], dilations: [2, 1] },
  ];
  const built = (op: string, opset: number, attributes: Record<string, number | number[]>) => {
    const b = new GraphBuilder({ name: 'pool', opset });
    b.output(b.node(op, [b.input('x', 'float32', [1, 2, 3, 2])], attributes), 'y');
    return b.build();
  };
  for (const opset of [11, 19])
    for (const op of ['AveragePool', 'MaxPool'])
      for (const count_include_pad of op === 'AveragePool' ? [0, 1] : [undefined])
        for (const { dilations, ...given } of more) {
          const attributes = {
            ...given,
            ...(dilations && (opset >= 19 || op === 'MaxPool') && { dilations }),
            ...(count_include_pad !== undefined && { count_include_pad }),
          };
          const graph = built(op, opset, attributes);
          const inputs = [1, 2].map((seed) => drawn(graph, Xoshiro128.fromSeed(seed)));
          const { steps } = await agreement(op, graph, inputs, runtime);
          t.ok(steps < 2, `${op} ${opset} ${JSON.stringify(attributes)}: ${steps} steps`);
        }
  await t.rejects(compile(built('MaxPool', 13, { kernel_shape: [4, 1] }), { board, weights: 'pool' }), {
    code: 'OPERATOR_UNSUPPORTED',
    message: /MaxPool.*its result \[1,2,0,2\] has no elements/,
  });
});

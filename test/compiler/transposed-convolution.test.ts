import t from 'tap';
import { randomInt, Xoshiro128 } from '../../daemon/core/rng.js';
import { elementCount, floatTensor } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import type { ProgramCase } from '../firmware/program-case.js';
import { buildNative, runNative } from '../firmware/runtime-driver.js';
import { agreement, drawn } from './agreement.js';

t.setTimeout(0);
const runtime = new SessionProcess();
t.teardown(() => runtime.stop());

/** [input, weight [in, out of a group, kernel], attributes]. */
type Shape = readonly [
  readonly number[],
  readonly number[],
  Readonly<Record<string, number | string | number[]>>,
];

const shapes: readonly Shape[] = [
  [[1, 3, 4, 5], [3, 2, 2, 2], { strides: [2, 2] }],
  [[1, 3, 4, 5], [3, 2, 4, 4], { strides: [2, 2], pads: [1, 1, 1, 1] }],
  [[1, 3, 4, 5], [3, 2, 3, 3], { strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 1] }],
  [[1, 3, 4, 5], [3, 2, 3, 3], {}],
  [[1, 3, 4, 5], [3, 2, 3, 2], { pads: [1, 0, 2, 1], dilations: [2, 3] }],
  [[1, 3, 4, 5], [3, 2, 3, 3], { strides: [3, 2], dilations: [2, 2], pads: [0, 3, 1, 0] }],
  [[1, 3, 4, 5], [3, 2, 1, 2], { strides: [3, 2], output_padding: [2, 1] }],
  [[1, 4, 3, 3], [4, 3, 3, 3], { strides: [2, 2], group: 2, pads: [1, 1, 1, 1] }],
  [[1, 4, 3, 3], [4, 3, 3, 3], { group: 2 }],
  [[1, 6, 3, 4], [6, 1, 4, 4], { strides: [2, 2], group: 6, pads: [1, 1, 1, 1] }],
  [[1, 6, 3, 4], [6, 1, 3, 3], { group: 6 }],
  [[1, 4, 3, 2], [4, 1, 9, 9], { group: 4, pads: [4, 4, 4, 4] }],
  [[1, 4, 3, 3], [4, 2, 2, 2], { group: 4, strides: [2, 2] }],
  [[1, 3, 4, 5], [3, 2, 3, 3], { strides: [2, 2], output_shape: [8, 10] }],
  [[1, 3, 4, 5], [3, 2, 3, 3], { strides: [2, 2], output_shape: [10, 12], output_padding: [1, 1] }],
  [[1, 3, 4, 5], [3, 2, 3, 4], { strides: [2, 2], auto_pad: 'SAME_UPPER' }],
  [[1, 3, 4, 5], [3, 2, 3, 4], { strides: [2, 2], auto_pad: 'SAME_LOWER' }],
  [[1, 3, 4, 5], [3, 2, 3, 4], { strides: [2, 2], auto_pad: 'VALID' }],
  [[1, 3, 4, 5], [3, 2, 6, 5], { strides: [2, 2], pads: [5, 4, 3, 4] }],
  [[1, 3, 9], [3, 2, 4], { strides: [2], pads: [1, 1] }],
  [[1, 4, 9], [4, 1, 5], { strides: [3], group: 4, output_padding: [1] }],
  [[1, 3, 9], [3, 2, 4], { strides: [2], output_shape: [18] }],
  // Larger than what the kernel reaches.
  [[1, 3, 3], [3, 2, 2], { strides: [3], output_shape: [9], auto_pad: 'SAME_UPPER' }],
  [[1, 3, 3], [3, 2, 2], { strides: [3], output_shape: [10] }],
  [[2, 3, 4, 3], [3, 2, 4, 4], { strides: [2, 2], pads: [1, 1, 1, 1] }],
  [[2, 4, 3, 3], [4, 3, 3, 3], { strides: [2, 2], group: 2 }],
  [[3, 4, 3, 3], [4, 1, 3, 3], { strides: [2, 2], group: 4 }],
  // A shape of the result decides the padding, with VALID too: 1, 1, 3 and 0 pixels in all.
  [[1, 3, 4, 5], [3, 2, 3, 3], { strides: [2, 2], output_shape: [8, 10], auto_pad: 'VALID' }],
  [[1, 2, 3, 9], [2, 1, 4, 2], { strides: [1, 2], output_shape: [3, 18], auto_pad: 'VALID' }],
];

t.test('transposed convolutions of every kind, to half a step and the rounding of a bias', async (t) => {
  const rng = Xoshiro128.fromSeed(11);
  const cases: ProgramCase[] = [];
  for (const [i, [input, weight, attributes]] of shapes.entries()) {
    const b = new GraphBuilder({ name: 'up', opset: i % 2 === 0 ? 11 : 20 });
    const x = b.input('x', 'float32', input);
    const outputs = (weight[1] as number) * Number(attributes.group ?? 1);
    // Whole multiples of a step, of which each patch's outputs hold the largest: int8 weights are exact.
    const whole = Array.from({ length: elementCount(weight) }, () => (2 * randomInt(rng, 2) - 1) / 8);
    const w = b.constant('w', floatTensor(weight, whole));
    const bias = b.constant(
      'bias',
      floatTensor(
        [outputs],
        Array.from({ length: outputs }, (_, n) => n / 4),
      ),
    );
    const inputs = i % 3 === 0 ? [x, w] : [x, w, bias];
    b.output(b.node('ConvTranspose', inputs, { kernel_shape: weight.slice(2), ...attributes }));
    const graph = b.build();
    const name = `${i} [${input}] ${JSON.stringify(attributes)}`;
    const found = await agreement(name, graph, [drawn(graph, rng), drawn(graph, rng)], runtime);
    t.ok(found.steps < 0.51, `${name}: ${found.steps.toFixed(3)} steps`);
    cases.push(...found.cases);
  }
  for (const [i, outcome] of runNative(buildNative(), cases).entries()) {
    const { name, expected } = cases[i] as ProgramCase;
    const { at, bytes } = expected[0] as { at: number; bytes: Int8Array };
    t.equal(outcome.checkError || outcome.runError || Number(!outcome.guardsWhole), 0, name);
    t.ok(
      bytes.every((value, j) => value === outcome.arena[at + j]),
      `${name}: the same in C`,
    );
  }
});

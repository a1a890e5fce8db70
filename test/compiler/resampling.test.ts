import t from 'tap';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { floatTensor, type Graph } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import { compile } from '../../firmware-bridge/compiler/index.js';
import { agreement, board, drawn } from './agreement.js';

const runtime = new SessionProcess();
t.teardown(() => runtime.stop());

interface Resize {
  readonly opset?: number;
  readonly dims?: readonly number[];
  readonly scales?: readonly number[];
  readonly sizes?: readonly number[];
  readonly attributes?: Readonly<Record<string, string | number | number[]>>;
}

/** A Resize of any operator set, or the Upsample before it. */
function network({ opset = 13, dims = [1, 3, 7, 6], scales, sizes, attributes = {} }: Resize): Graph {
  const b = new GraphBuilder({ name: 'resize', opset });
  const x = b.input('x', 'float32', dims);
  const factors = scales && b.constant('scales', floatTensor([scales.length], scales));
  if (opset < 9) b.output(b.node('Upsample', [x], { ...attributes, scales: [...(scales ?? [])] }), 'y');
  else if (opset < 11)
    b.output(b.node(opset < 10 ? 'Upsample' : 'Resize', [x, factors as string], attributes), 'y');
  else {
    const given = sizes ? ['', '', b.ints(sizes)] : ['', factors as string];
    // Until opset 13 the first of the optional inputs must be there.
    const [region, ...others] =
      opset < 13 ? [b.constant('region', floatTensor([0], [])), ...given.slice(1)] : given;
    b.output(b.node('Resize', [x, region as string, ...others], attributes), 'y');
  }
  return b.build();
}

const coordinates = ['half_pixel', 'pytorch_half_pixel', 'align_corners', 'asymmetric'];
const down = [1, 3, 5, 3];
const across = [1, 3, 4, 11];

t.test('every way of changing the size is what onnxruntime makes of it', async (t) => {
  const cases: Resize[] = [];
  for (const mode of coordinates)
    for (const sizes of [down, across]) {
      const to = (more: Resize['attributes'], opset = 13): void => {
        cases.push({ opset, sizes, attributes: { coordinate_transformation_mode: mode, ...more } });
      };
      for (const nearest_mode of ['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'])
        to({ mode: 'nearest', nearest_mode });
      to({ mode: 'linear' });
      to({ mode: 'linear', antialias: 1 }, 18);
      to({ mode: 'cubic' });
      to({ mode: 'cubic', cubic_coeff_a: -0.5, exclude_outside: 1 });
      to({ mode: 'cubic', antialias: 1 }, 19);
    }
  const attributes = { mode: 'linear' };
  for (const scales of [
    [1, 1, 0.6, 1.7],
    [1, 1, 1.3, 1 / 3],
  ]) {
    for (const mode of ['nearest', 'linear'])
      for (const opset of [7, 9, 10, 11, 18])
        if (opset >= 10 || scales.every((scale) => scale >= 1))
          cases.push({ opset, scales, attributes: { mode } });
    const symmetric = { mode: 'cubic', coordinate_transformation_mode: 'half_pixel_symmetric' };
    cases.push({ opset: 19, scales, attributes: symmetric });
  }
  for (const opset of [7, 9])
    for (const mode of ['nearest', 'linear'])
      cases.push({ opset, scales: [1, 1, 2, 3], attributes: { mode } });
  cases.push(
    // Places that float32 leaves just beside the middle of two pixels.
    { dims: [1, 1, 26, 30], sizes: [1, 1, 28, 9], attributes: { nearest_mode: 'round_prefer_ceil' } },
    { dims: [1, 1, 14, 22], sizes: [1, 1, 19, 13], attributes: { nearest_mode: 'round_prefer_floor' } },
    { dims: [1, 3, 7], scales: [1, 1, 1.6], attributes },
    { dims: [2, 3, 4, 5], scales: [1, 1, 1.6, 0.7], attributes },
    { dims: [2, 3, 4, 5], scales: [1, 1, 2, 3] },
    { dims: [4, 5], scales: [1.6, 0.7], attributes },
    { dims: [1, 4, 4, 4], scales: [1, 1.5, 1, 1] },
  );
  for (const policy of ['not_larger', 'not_smaller'])
    for (const axes of [
      [2, 3],
      [3, 2],
    ])
      cases.push({
        opset: 18,
        sizes: [9, 15],
        attributes: { mode: 'linear', keep_aspect_ratio_policy: policy, axes },
      });
  for (const one of cases) {
    const graph = network(one);
    const inputs = [1, 2, 3].map((seed) => drawn(graph, Xoshiro128.fromSeed(seed)));
    const { steps } = await agreement('resize', graph, inputs, runtime);
    t.ok(steps < 4, `${JSON.stringify(one)}: ${steps} steps`);
  }
});

t.test('what runtimes do not agree on, and what reads other inputs, is refused by name', async (t) => {
  const refused = (one: Resize, message: RegExp): Promise<unknown> =>
    t.rejects(compile(network(one), { board, weights: 'real' }), { code: 'OPERATOR_UNSUPPORTED', message });
  const mode = (name: string) => ({ coordinate_transformation_mode: name });
  await refused(
    { sizes: down, attributes: mode('tf_crop_and_resize') },
    /coordinate_transformation_mode is tf_crop/,
  );
  await refused(
    { sizes: down, attributes: mode('constructor') },
    /coordinate_transformation_mode is constructor/,
  );
  await refused({ sizes: down, attributes: { mode: 'toString' } }, /its mode is toString/);
  await refused({ sizes: down, attributes: { nearest_mode: '__proto__' } }, /its nearest_mode is __proto__/);
  await refused({ scales: [1, 1, 0.6, 1], attributes: mode('align_corners') }, /where corners are aligned/);
  await refused(
    { sizes: [1, 3, 1, 3], attributes: mode('tf_half_pixel_for_nn') },
    /where two pixels are as near/,
  );
  await refused(
    { opset: 10, scales: [1, 1, 2, 2], attributes: { mode: 'cubic' } },
    /its mode is cubic \(opset 10\)/,
  );
});

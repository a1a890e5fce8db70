import type { Node } from '../../../../daemon/network/graph.js';
import { intAttribute, intsAttribute, stringAttribute } from '../../../../daemon/network/shape-rules/rule.js';
import { atLeast, type Quantisation } from '../../quantise/quantisation.js';
import { type Lowering, type LoweringRule, nodeName, unsupported } from '../lowering.js';
import type { View, Window } from '../operators.js';
import { rowsAlong, type Value } from '../value.js';
import { defineImage, imageDims, imageOf, imagePairs, linesOf, windowOf } from './convolution.js';
import { surrounded } from './padding.js';
import { constantAxes } from './reductions.js';

export const pooling: LoweringRule = (node, lowering) => {
  const kernel = intsAttribute(node, 'kernel_shape') as readonly number[];
  if (kernel.length > 2) throw unsupported(node, 'it has more than two spatial axes');
  const window = windowOf(node, lowering, [kernel.at(-2) ?? 1, kernel.at(-1) as number]);
  const isAverage = node.op === 'AveragePool';
  const x = imageOf(node, lowering);
  const name = node.outputs[0] as string;
  // The largest of several values is one of them: it keeps their quantisation.
  const quantisation = isAverage
    ? averaged(lowering, name, x.quantisation.scale, window.kernel[0] * window.kernel[1])
    : x.quantisation;
  const y = lowering.allocate(name, imageDims(lowering.dims(name)), quantisation);
  const given = { x, window, countsPadding: isAverage && intAttribute(node, 'count_include_pad', 0) !== 0 };
  const pool = given.countsPadding ? overhanging(node, lowering, given) : given;
  for (const [from, to] of imagePairs(pool.x, y))
    lowering.emit({
      name: nodeName(node),
      body: {
        kind: isAverage ? 'averagePool' : 'maxPool',
        window: pool.window,
        countsPadding: pool.countsPadding,
        x: x.quantisation,
        y: quantisation,
        low: -128,
        high: 127,
      },
      reads: [{ view: linesOf(from), access: 'window' }],
      write: linesOf(to),
    });
  defineImage(lowering, name, y);
};

/** A window cut off at an edge may hold one element: its step is at most 60 of the result, as multipliers need it. */
function averaged(lowering: Lowering, name: string, step: number, taps: number): Quantisation {
  const quantisation = lowering.quantisationFor(name, step / taps);
  return lowering.fixed.of(name) ? quantisation : atLeast(quantisation, step / 60);
}

interface Pool {
  readonly x: Value;
  readonly window: Window;
  readonly countsPadding: boolean;
}

/**
 * Padding counts, but what a window reaches beyond the padding does not: one that rounding up adds, or one that is larger
 * than its image. So where one does, the padding is put around the image first and is image from then on.
 */
function overhanging(node: Node, lowering: Lowering, pool: Pool): Pool {
  const { window, x } = pool;
  const mode = stringAttribute(node, 'auto_pad', 'NOTSET');
  // Padding chosen by the size holds every window.
  if (mode.startsWith('SAME')) return pool;
  // Before opset 19 onnxruntime divides by the whole window all the same, where nothing rounds up.
  if (lowering.opset < 19 && intAttribute(node, 'ceil_mode', 0) === 0) return pool;
  const pads = (mode === 'NOTSET' && intsAttribute(node, 'pads')) || [0, 0, 0, 0];
  const [bottom, right] = [pads.length === 4 ? (pads[2] as number) : 0, pads.at(-1) as number];
  const reaches = (axis: 0 | 1, count: number): number =>
    (count - 1) * window.stride[axis] + (window.kernel[axis] - 1) * window.dilation[axis] + 1;
  const [height, width] = [window.inHeight + window.padTop + bottom, window.inWidth + window.padLeft + right];
  if (reaches(0, window.outHeight) <= height && reaches(1, window.outWidth) <= width) return pool;
  const widths = { top: window.padTop, left: window.padLeft, height, width };
  return {
    x: surrounded(node, lowering, x, widths),
    window: { ...window, inHeight: height, inWidth: width, padTop: 0, padLeft: 0 },
    countsPadding: false,
  };
}

export const globalAverage: LoweringRule = (node, lowering) => {
  const rank = lowering.value(node, 0).dims.length;
  mean(
    node,
    lowering,
    Array.from({ length: rank - 2 }, (_, i) => i + 2),
  );
};

/** ReduceMean and ReduceSum. */
export const reduce: LoweringRule = (node, lowering) => {
  const x = lowering.value(node, 0);
  const axes = constantAxes(node, lowering, x.dims.length);
  // Over no axis both are their input.
  if (axes.length === 0) lowering.define(node.outputs[0] as string, x);
  else
    mean(
      node,
      lowering,
      axes,
      node.op === 'ReduceSum' ? axes.reduce((product, axis) => product * (x.dims[axis] as number), 1) : 1,
    );
};

/** Mean over some axes, which must be rows of the others, times a factor. */
function mean(node: Node, lowering: Lowering, axes: readonly number[], factor = 1): void {
  const given = lowering.value(node, 0);
  const all = given.dims.map((_, axis) => axis);
  const kept = all.filter((axis) => !axes.includes(axis));
  const take = (value: typeof given): View | undefined => {
    const view = rowsAlong(value, axes, kept);
    return view?.batch === 1 ? view : undefined;
  };
  const x = take(given) ?? take(lowering.arranged(node, given, [...axes, ...kept]));
  if (!x) throw unsupported(node, `it takes the mean of [${given.dims}] over the axes ${axes}`);
  const name = node.outputs[0] as string;
  const dims = lowering.dims(name);
  const y = lowering.allocate(
    name,
    dims,
    lowering.quantisationFor(name, (given.quantisation.scale * factor) / x.rows),
    dims.map((_, axis) => axis),
  );
  const write = { ...x, storage: y.storage, offset: 0, rows: 1, rowStride: x.width };
  // A sum is a mean in steps as many times finer.
  const steps = { ...y.quantisation, scale: y.quantisation.scale / factor };
  lowering.emit({
    name: nodeName(node),
    body: { kind: 'mean', x: given.quantisation, y: steps, low: -128, high: 127 },
    reads: [{ view: x, access: 'all' }],
    write,
  });
  lowering.define(name, y);
}

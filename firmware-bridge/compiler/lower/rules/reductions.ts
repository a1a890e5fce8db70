import { elementCount, type Node } from '../../../../daemon/network/graph.js';
import { reducedAxes } from '../../passes/reduced-axes.js';
import { type Lowering, type LoweringRule, nodeName, unsupported } from '../lowering.js';
import type { Window } from '../operators.js';
import { physicalOrder, reshaped, type Value } from '../value.js';
import { applied } from './steps.js';

/** The most rows and channels that a window record can say. */
const most = 65_535;

/** GlobalMaxPool: the largest of each channel of one image, or of each image's. */
export const globalMax: LoweringRule = (node, lowering) => {
  const x = lowering.value(node, 0);
  const spatial = x.dims.flatMap((_, axis) => (axis < 2 ? [] : [axis]));
  lowering.define(node.outputs[0] as string, largest(node, lowering, x, spatial));
};

/** ReduceMax and ReduceMin: the result is one of its inputs, and keeps their quantisation. */
export const reduceExtreme: LoweringRule = (node, lowering) => {
  const name = node.outputs[0] as string;
  const x = lowering.value(node, 0);
  const axes = constantAxes(node, lowering, x.dims.length);
  if (axes.length === 0) {
    lowering.define(name, x);
    return;
  }
  if (node.op === 'ReduceMax') {
    lowering.define(name, shaped(largest(node, lowering, x, axes), lowering.dims(name)));
    return;
  }
  const flipped = applied(node, lowering, lowering.dense(node, x), (v) => -v, {
    name: `${name}.flipped`,
    quantisation: flip(x),
  });
  const y = largest(node, lowering, flipped, axes);
  const back = applied(node, lowering, y, (v) => -v, { name, quantisation: x.quantisation });
  lowering.define(name, shaped(back, lowering.dims(name)));
};

/** The steps in which -x is exact: q becomes -1 - q. */
const flip = ({ quantisation: { scale, zeroPoint } }: Value): Value['quantisation'] => ({
  scale,
  zeroPoint: -1 - zeroPoint,
});

/** The axes that a node reduces. Throws OPERATOR_UNSUPPORTED where they are computed. */
export function constantAxes(node: Node, lowering: Lowering, rank: number): readonly number[] {
  const axes = reducedAxes(node, rank, (name) => lowering.integers(name));
  if (!axes) throw unsupported(node, 'it needs constant axes');
  return axes;
}

/** A value under the dimensions of a result that drops axes of one element. */
export const shaped = (value: Value, dims: readonly number[]): Value => reshaped(value, dims) as Value;

/** The value dense with the reduced axes outside and the others inside, each in the order in which they lie. */
export function reducedOutside(
  node: Node,
  lowering: Lowering,
  x: Value,
  axes: readonly number[],
): { readonly x: Value; readonly inner: readonly number[]; readonly order: readonly number[] } {
  const physical = physicalOrder(x);
  const inner = physical.filter((axis) => !axes.includes(axis));
  const order = [...physical.filter((axis) => axes.includes(axis)), ...inner];
  return { x: lowering.arranged(node, x, order), inner, order };
}

/** The largest over some axes, which stay as axes of one element: a maximum over an image of one line, a pixel a row. */
export function largest(node: Node, lowering: Lowering, given: Value, axes: readonly number[]): Value {
  const { x, inner, order } = reducedOutside(node, lowering, given, axes);
  const dims = x.dims.map((size, axis) => (axes.includes(axis) ? 1 : size));
  const width = inner.reduce((product, axis) => product * (x.dims[axis] as number), 1);
  const rows = elementCount(x.dims) / width;
  if (rows > most)
    throw unsupported(node, `it takes the largest of ${rows} elements, at most ${most} can be`);
  const y = lowering.allocate(node.outputs[0] as string, dims, x.quantisation, order);
  for (let from = 0; from < width; from += most) {
    const channels = Math.min(most, width - from);
    const window: Window = {
      inHeight: 1,
      outHeight: 1,
      inWidth: rows,
      inChannels: channels,
      inStride: width,
      outWidth: 1,
      outChannels: channels,
      outStride: channels,
      kernel: [1, rows],
      stride: [1, 1],
      dilation: [1, 1],
      padTop: 0,
      padLeft: 0,
    };
    const line = (value: Value, span: number): Parameters<Lowering['emit']>[0]['write'] => ({
      storage: value.storage,
      offset: value.offset + from,
      batch: 1,
      batchStride: 0,
      rows: 1,
      rowStride: span,
      width: span,
    });
    lowering.emit({
      name: nodeName(node),
      body: {
        kind: 'maxPool',
        window,
        countsPadding: false,
        x: x.quantisation,
        y: x.quantisation,
        low: -128,
        high: 127,
      },
      reads: [{ view: line(x, (rows - 1) * width + channels), access: 'window' }],
      write: line(y, channels),
    });
  }
  return y;
}

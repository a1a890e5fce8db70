import { elementCount, type Node } from '../../../../daemon/network/graph.js';
import { type PadWidths, padOf } from '../../passes/fold-pads.js';
import { type Lowering, type LoweringRule, nodeName, unsupported } from '../lowering.js';
import { reshaped, transposed, type Value } from '../value.js';
import { imageDims, linesOf } from './convolution.js';
import { constant, joined } from './layout.js';

/** Zeros around an image or tokens in one step; anything else piece by piece. */
export const pad: LoweringRule = (node, lowering) => {
  const { dims } = lowering.value(node, 0);
  const asked = padOf(node, dims.length, (input) => lowering.numbers(input));
  if (!asked) throw unsupported(node, 'its widths are not constant, or take away');
  const { before, after, mode, value } = asked;
  const wide = dims.map((_, axis) => (before[axis] as number) + (after[axis] as number) > 0);
  const inPlace =
    dims.length === 3 ? !wide[0] && !(wide[1] && wide[2]) : dims.length === 4 && !wide[0] && !wide[1];
  if (mode === 'constant' && value === 0 && inPlace) padWithZeros(node, lowering, asked);
  else padByParts(node, lowering, asked);
};

/** Axis by axis, what stands before and behind joined to what is there: a value, the edge, or its mirror image. */
function padByParts(
  node: Node,
  lowering: Lowering,
  { before, after, mode, value }: NonNullable<ReturnType<typeof padOf>>,
): void {
  const name = node.outputs[0] as string;
  const given = lowering.value(node, 0);
  // Copies of what is there keep its quantisation; another value may lie beyond it.
  const quantisation = mode === 'constant' ? lowering.quantisation(name) : given.quantisation;
  let x = given;
  for (const [axis, [first, last]] of before
    .map((width, i) => [width, after[i] as number] as const)
    .entries()) {
    if (first + last === 0) continue;
    const size = x.dims[axis] as number;
    const line = (at: number, times = 1): Value => ({
      ...x,
      offset: x.offset + at * (x.strides[axis] as number),
      dims: x.dims.map((old, i) => (i === axis ? times : old)),
      strides: x.strides.map((stride, i) => (i === axis && times > 1 ? 0 : stride)),
    });
    const side = (width: number, atEnd: boolean): Value[] => {
      if (width === 0) return [];
      const dims = x.dims.map((old, i) => (i === axis ? width : old));
      if (mode === 'constant')
        return [
          constant(node, lowering, dims, new Float32Array(elementCount(dims)).fill(value), quantisation),
        ];
      if (mode === 'edge') return [line(atEnd ? size - 1 : 0, width)];
      if (mode !== 'reflect' || width >= size)
        throw unsupported(node, `it fills by ${mode}, ${width} beside ${size}`);
      return Array.from({ length: width }, (_, i) => line(atEnd ? size - 2 - i : width - i));
    };
    const parts = [...side(first, false), x, ...side(last, true)];
    const dims = x.dims.map((old, i) => (i === axis ? old + first + last : old));
    x = joined(node, lowering, parts, { name: `${name}.${axis}`, axis, dims, quantisation });
  }
  lowering.define(name, x);
}

/** An average over one element each, which is zero outside. */
function padWithZeros(node: Node, lowering: Lowering, { before, after }: PadWidths): void {
  const given = lowering.value(node, 0);
  const name = node.outputs[0] as string;
  const rank = given.dims.length;
  const axes = before.flatMap((width, axis) => (width + (after[axis] as number) > 0 ? [axis] : []));
  // Tokens [1, tokens, width] are an image of one column.
  const tokens = rank === 3 && axes.length === 1 && axes[0] === 1;
  const image = tokens ? transposed(given, [0, 2, 1]) : given;
  const asImage = tokens
    ? ([n, c, t]: readonly number[]) => [n as number, c as number, t as number, 1]
    : imageDims;
  const x = channelsLastImage(lowering, node, image, asImage(image.dims));
  const outDims = image.dims.map((size, i) => {
    const axis = tokens && i > 0 ? 3 - i : i;
    return size + (before[axis] as number) + (after[axis] as number);
  });
  const y = lowering.allocate(name, asImage(outDims), given.quantisation);
  const [, channels, inHeight, inWidth] = x.dims as [number, number, number, number];
  const [, , outHeight, outWidth] = y.dims as [number, number, number, number];
  lowering.emit({
    name: nodeName(node),
    body: {
      kind: 'averagePool',
      window: {
        inHeight,
        inWidth,
        inChannels: channels,
        inStride: channels,
        outHeight,
        outWidth,
        outChannels: channels,
        outStride: channels,
        kernel: [1, 1],
        stride: [1, 1],
        dilation: [1, 1],
        padTop: tokens ? (before[1] as number) : rank === 4 ? (before[2] as number) : 0,
        padLeft: tokens ? 0 : (before[rank - 1] as number),
      },
      countsPadding: true,
      x: given.quantisation,
      y: given.quantisation,
      low: -128,
      high: 127,
    },
    reads: [{ view: linesOf(x), access: 'window' }],
    write: linesOf(y),
  });
  const back = reshaped(y, outDims) as Value;
  lowering.define(name, tokens ? transposed(back, [0, 2, 1]) : back);
}

function channelsLastImage(lowering: Lowering, node: Node, value: Value, dims: readonly number[]): Value {
  const image = reshaped(value, dims);
  if (image?.dims.length !== 4 || image.dims[0] !== 1)
    throw unsupported(node, `its input is [${value.dims}], not one image`);
  return lowering.arranged(node, image, [0, 2, 3, 1]);
}

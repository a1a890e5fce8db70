import { elementCount, type Node } from '../../../../daemon/network/graph.js';
import { type PadWidths, padOf } from '../../passes/fold-pads.js';
import { type Lowering, type LoweringRule, nodeName, unsupported } from '../lowering.js';
import { transposed, type Value } from '../value.js';
import { asImage, fromImage, imagePairs, linesOf, plainWindow } from './convolution.js';
import { constant, joined } from './layout.js';

/** Zeros around an image or tokens in one step; anything else piece by piece. */
export const pad: LoweringRule = (node, lowering) => {
  const { dims } = lowering.value(node, 0);
  const asked = padOf(node, dims.length, (input) => lowering.numbers(input));
  if (!asked)
    throw unsupported(node, 'it needs constant widths, none of them negative, and a constant value');
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
      const reach = mode === 'wrap' ? size : size - 1;
      if ((mode !== 'reflect' && mode !== 'wrap') || width > reach)
        throw unsupported(node, `its mode is ${mode}, with ${width} elements beside ${size}`);
      if (mode === 'wrap') return Array.from({ length: width }, (_, i) => line(atEnd ? i : size - width + i));
      return Array.from({ length: width }, (_, i) => line(atEnd ? size - 2 - i : width - i));
    };
    const parts = [...side(first, false), x, ...side(last, true)];
    const dims = x.dims.map((old, i) => (i === axis ? old + first + last : old));
    x = joined(node, lowering, parts, { name: `${name}.${axis}`, axis, dims, quantisation });
  }
  lowering.define(name, x);
}

/** Zeros around each image, which keeps its quantisation: an average over one element each, which is zero outside. */
export function surrounded(
  node: Node,
  lowering: Lowering,
  x: Value,
  { top, left, height, width }: Readonly<Record<'top' | 'left' | 'height' | 'width', number>>,
): Value {
  const [count, channels, inHeight, inWidth] = x.dims as [number, number, number, number];
  const dims = [count, channels, height, width];
  const y = lowering.allocate(`${node.outputs[0]}.surrounded`, dims, x.quantisation);
  for (const [from, to] of imagePairs(x, y))
    lowering.emit({
      name: nodeName(node),
      body: {
        kind: 'averagePool',
        window: {
          ...plainWindow(channels, inHeight, inWidth),
          outHeight: height,
          outWidth: width,
          padTop: top,
          padLeft: left,
        },
        countsPadding: true,
        x: x.quantisation,
        y: x.quantisation,
        low: -128,
        high: 127,
      },
      reads: [{ view: linesOf(from), access: 'window' }],
      write: linesOf(to),
    });
  return y;
}

/** Zeros around images, or before and behind tokens. */
function padWithZeros(node: Node, lowering: Lowering, { before, after }: PadWidths): void {
  const given = lowering.value(node, 0);
  const rank = given.dims.length;
  // Tokens [N, tokens, width] are images of one column: of sequences with the two axes changed over, of one line.
  const isTokens = rank === 3 && (before[1] as number) + (after[1] as number) > 0;
  const image = asImage(isTokens ? transposed(given, [0, 2, 1]) : given);
  const along = isTokens ? 1 : rank - 1;
  const [top, bottom] = rank === 4 ? [before[2] as number, after[2] as number] : [0, 0];
  const [left, right] = [before[along] as number, after[along] as number];
  const x = lowering.arranged(node, image, [0, 2, 3, 1]);
  const [, , inHeight, inWidth] = x.dims as [number, number, number, number];
  const y = surrounded(node, lowering, x, {
    top,
    left,
    height: inHeight + top + bottom,
    width: inWidth + left + right,
  });
  const back = fromImage(y, rank);
  lowering.define(node.outputs[0] as string, isTokens ? transposed(back, [0, 2, 1]) : back);
}

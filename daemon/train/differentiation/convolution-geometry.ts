import type { Node } from '../../network/graph.js';

/** A convolution along its spatial axes, with the padding that it has in effect. */
export interface Convolution {
  readonly groups: number;
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** Before each axis, then behind each axis. */
  readonly pads: readonly number[];
  readonly outSizes: readonly number[];
  /** Rows at each axis's end that no window reaches, as the stride steps over them. */
  readonly leftOver: readonly number[];
}

/** From a Conv node, its input's shape [n, c, sizes...] and its kernel's [out, in / groups, sizes...] (ONNX Conv-11). */
export function convolutionOf(node: Node, input: readonly number[], kernel: readonly number[]): Convolution {
  const sizes = input.slice(2);
  const taps = kernel.slice(2);
  const ints = (name: string, fallback: readonly number[]): readonly number[] =>
    (node.attributes[name] as readonly number[] | undefined) ?? fallback;
  const ones = sizes.map(() => 1);
  const strides = ints('strides', ones);
  const dilations = ints('dilations', ones);
  const reach = taps.map((size, axis) => (size - 1) * (dilations[axis] as number) + 1);
  const auto = (node.attributes.auto_pad as string | undefined) ?? 'NOTSET';
  const pads = auto.startsWith('SAME')
    ? samePads(sizes, reach, strides, auto === 'SAME_LOWER')
    : auto === 'VALID'
      ? [...sizes, ...sizes].map(() => 0)
      : ints(
          'pads',
          [...sizes, ...sizes].map(() => 0),
        );
  const free = sizes.map(
    (size, axis) =>
      size + (pads[axis] as number) + (pads[axis + sizes.length] as number) - (reach[axis] as number),
  );
  return {
    groups: (node.attributes.group as number | undefined) ?? 1,
    strides,
    dilations,
    pads,
    outSizes: free.map((room, axis) => Math.floor(room / (strides[axis] as number)) + 1),
    leftOver: free.map((room, axis) => room % (strides[axis] as number)),
  };
}

/** As many windows as the stride goes into the size; an odd row of padding lies behind, or before where `lower`. */
function samePads(
  sizes: readonly number[],
  reach: readonly number[],
  strides: readonly number[],
  lower: boolean,
): number[] {
  const totals = sizes.map((size, axis) => {
    const stride = strides[axis] as number;
    return Math.max(0, (Math.ceil(size / stride) - 1) * stride + (reach[axis] as number) - size);
  });
  const before = totals.map((total) => (lower ? Math.ceil(total / 2) : Math.floor(total / 2)));
  return [...before, ...totals.map((total, axis) => total - (before[axis] as number))];
}

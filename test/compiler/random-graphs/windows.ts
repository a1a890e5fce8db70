import type { Draft, NodeDraft } from './draft.js';
import type { Attributes } from './model.js';

/** Operators that slide a window over an image, a sequence or a volume, and those that resize one. */
type Maker = (d: Draft) => NodeDraft[] | undefined;

const spatial = (dims: readonly number[]): boolean => dims.length >= 3 && dims.length <= 5;

/** An image, a sequence or a volume; the leading size is no batch to a board unless it is 1. */
export function imageOf(d: Draft): string {
  return d.valueOr(spatial, () => {
    const axes = d.pick([1, 2, 2, 2, 2, 3]);
    const sizes = Array.from({ length: axes }, () => d.pick([1, 2, 3, 5, 6, 7, 8, 9]));
    return [d.pick([1, 1, 1, 2, 3]), d.pick([1, 2, 3, 4, 5, 6, 8]), ...sizes];
  });
}

interface WindowOptions {
  readonly kernel: readonly number[];
  readonly dilations: boolean;
  readonly ceil: boolean;
  readonly pads: boolean;
}

function windowAttributes(d: Draft, { kernel, dilations, ceil, pads }: WindowOptions): Attributes {
  const axes = kernel.length;
  const each = (low: number, high: number): number[] => Array.from({ length: axes }, () => d.int(low, high));
  const how = d.pick(['pads', 'pads', 'none', 'auto']);
  const most = Math.max(0, Math.min(...kernel) - 1);
  const padding: Attributes =
    how === 'none' || !pads
      ? {}
      : how === 'auto'
        ? { auto_pad: { text: d.pick(['SAME_UPPER', 'SAME_LOWER', 'VALID', 'NOTSET']) } }
        : { pads: { ints: [...each(0, most), ...each(0, most)] } };
  return {
    ...padding,
    ...(d.chance(0.6) && { strides: { ints: each(1, 3) } }),
    ...(dilations && d.chance(0.3) && { dilations: { ints: each(1, 2) } }),
    ...(ceil && d.chance(0.3) && { ceil_mode: { int: 1 } }),
  };
}

const kernelFor = (d: Draft, sizes: readonly number[]): number[] =>
  sizes.map((size) => d.int(1, Math.min(4, size + 1)));

/** Pools run with windows larger than their image. */
const poolKernelFor = (d: Draft, sizes: readonly number[]): number[] =>
  d.chance(0.2) ? sizes.map((size) => d.int(1, size + 3)) : kernelFor(d, sizes);

const conv: Maker = (d) => {
  const x = imageOf(d);
  const [, channels = 1, ...sizes] = d.dims(x);
  const divisors = [1, channels, 2, 3].filter((g) => channels % g === 0);
  const group = d.pick(divisors);
  const outputs = group * d.int(1, group > 2 ? 2 : 5);
  const kernel = kernelFor(d, sizes);
  const w = d.weight([outputs, channels / group, ...kernel], 0.6, x);
  const inputs = d.chance(0.6) ? [x, w, d.weight([outputs], 0.3, x)] : [x, w];
  return [
    d.node('Conv', inputs, {
      ...windowAttributes(d, { kernel, dilations: true, ceil: false, pads: true }),
      ...(group > 1 && { group: { int: group } }),
      ...(d.chance(0.5) && { kernel_shape: { ints: kernel } }),
    }),
  ];
};

const convTranspose: Maker = (d) => {
  const x = imageOf(d);
  const [, channels = 1, ...sizes] = d.dims(x);
  const group = d.pick([1, 1, channels]);
  const outputs = d.int(1, group > 1 ? 2 : 4);
  const kernel = sizes.map(() => d.int(1, 4));
  const w = d.weight([channels, outputs, ...kernel], 0.6, x);
  const inputs = d.chance(0.5) ? [x, w, d.weight([outputs * group], 0.3, x)] : [x, w];
  const strides = sizes.map(() => d.int(1, 3));
  return [
    d.node('ConvTranspose', inputs, {
      ...windowAttributes(d, { kernel, dilations: true, ceil: false, pads: true }),
      ...(d.chance(0.7) && { strides: { ints: strides } }),
      ...(d.chance(0.2) && { output_padding: { ints: strides.map((s) => d.int(0, Math.max(0, s - 1))) } }),
      ...(d.chance(0.1) && { output_shape: { ints: sizes.map((s, i) => s * (strides[i] ?? 1)) } }),
      ...(group > 1 && { group: { int: group } }),
    }),
  ];
};

const pool: Maker = (d) => {
  const x = imageOf(d);
  const kernel = poolKernelFor(d, d.dims(x).slice(2));
  const isMax = d.chance(0.5);
  const late = d.opset >= 10;
  const attributes = windowAttributes(d, {
    kernel,
    dilations: isMax ? late : d.opset >= 19,
    ceil: late,
    pads: true,
  });
  const shape: Attributes = { kernel_shape: { ints: kernel } };
  if (!isMax) {
    const counts: Attributes = d.chance(0.5) ? { count_include_pad: { int: d.int(0, 1) } } : {};
    return [d.node('AveragePool', [x], { ...attributes, ...shape, ...counts })];
  }
  const withIndices = d.opset >= 8 && d.chance(0.1);
  const order: Attributes = withIndices && d.chance(0.5) ? { storage_order: { int: 1 } } : {};
  return [d.node('MaxPool', [x], { ...attributes, ...shape, ...order }, withIndices ? 2 : 1)];
};

const lpPool: Maker = (d) => {
  const x = imageOf(d);
  const kernel = poolKernelFor(d, d.dims(x).slice(2));
  const shape: Attributes = { kernel_shape: { ints: kernel }, p: { int: d.int(1, 2) } };
  const attributes = windowAttributes(d, {
    kernel,
    dilations: d.opset >= 18,
    ceil: d.opset >= 18,
    pads: true,
  });
  return [d.node('LpPool', [x], { ...attributes, ...shape })];
};

const globalPool: Maker = (d) => [d.node(d.pick(['GlobalAveragePool', 'GlobalMaxPool']), [imageOf(d)])];

const depthToSpace: Maker = (d) => {
  const block = d.int(1, 3);
  const x = d.valueOr(
    (dims) => dims.length === 4 && (dims[1] as number) % block ** 2 === 0,
    () => [d.pick([1, 1, 2]), block ** 2 * d.int(1, 3), d.int(1, 4), d.int(1, 4)],
  );
  const mode: Attributes = d.opset >= 11 && d.chance(0.6) ? { mode: { text: d.pick(['DCR', 'CRD']) } } : {};
  return [d.node('DepthToSpace', [x], { blocksize: { int: block }, ...mode })];
};

const spaceToDepth: Maker = (d) => {
  const block = d.int(1, 3);
  const x = d.valueOr(
    (dims) => dims.length === 4 && dims.slice(2).every((size) => size % block === 0),
    () => [d.pick([1, 1, 2]), d.int(1, 5), block * d.int(1, 3), block * d.int(1, 3)],
  );
  return [d.node('SpaceToDepth', [x], { blocksize: { int: block } })];
};

export const windowMakers: readonly Maker[] = [
  conv,
  conv,
  conv,
  convTranspose,
  pool,
  pool,
  lpPool,
  globalPool,
  depthToSpace,
  spaceToDepth,
];

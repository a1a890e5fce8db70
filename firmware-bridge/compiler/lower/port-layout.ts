import type { Port } from './operators.js';

type Layout = Pick<Port, 'dims' | 'layout'>;

/**
 * Where a board holds the i-th element of a value that the network has row-major. Channels last, [N, C, ...] lies as
 * [N, ..., C]: the images one behind the other, the channels of a pixel side by side.
 */
export function positionsOf({ dims, layout }: Layout): (i: number) => number {
  if (layout === 'row-major') return (i) => i;
  const [, channels = 1, ...rest] = dims;
  const pixels = rest.reduce((product, dim) => product * dim, 1);
  const image = channels * pixels;
  return (i) => {
    const at = i % image;
    return i - at + (at % pixels) * channels + Math.floor(at / pixels);
  };
}

/** The order in which a board holds a value, in words for people: from the outside in where it is not row-major. */
export function describeLayout({ dims, layout }: Layout): string {
  if (layout === 'row-major') return layout;
  const image = dims.length === 3 ? 'height, width, channels (height 1)' : 'height, width, channels';
  return dims[0] === 1 ? `held as ${image}` : `held as ${dims[0]} images in a row, each ${image}`;
}

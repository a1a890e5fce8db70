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

/** The order in which a board holds a value, in words for people: `row-major`, or the axes from the outside in. */
export function describeLayout({ dims, layout }: Layout): string {
  if (layout === 'row-major') return layout;
  const spatial = dims.slice(2).map((_, i) => i + 2);
  return `held with its axes in the order ${[0, ...spatial, 1].join(', ')}`;
}

import type { Node } from '../../network/graph.js';
import { convolutionOf } from './convolution-geometry.js';

/** The geometry of one 2-D convolution. */
export interface Window {
  readonly groups: number;
  readonly inChannels: number;
  readonly outChannels: number;
  readonly inHeight: number;
  readonly inWidth: number;
  readonly outHeight: number;
  readonly outWidth: number;
  readonly kernelHeight: number;
  readonly kernelWidth: number;
  readonly strides: readonly [number, number];
  /** Before the rows, before the columns. */
  readonly pads: readonly [number, number];
  readonly dilations: readonly [number, number];
}

/** From a Conv node, its input's shape [n, c, h, w] and its kernel's [out, in / groups, h, w]. */
export function windowOf(node: Node, input: readonly number[], kernel: readonly number[]): Window {
  const [, inChannels, inHeight, inWidth] = input as [number, number, number, number];
  const [outChannels, , kernelHeight, kernelWidth] = kernel as [number, number, number, number];
  const { groups, strides, dilations, pads, outSizes } = convolutionOf(node, input, kernel);
  const [outHeight, outWidth] = outSizes as [number, number];
  return {
    groups,
    inChannels,
    outChannels,
    inHeight,
    inWidth,
    outHeight,
    outWidth,
    kernelHeight,
    kernelWidth,
    strides: strides as [number, number],
    pads: pads.slice(0, 2) as [number, number],
    dilations: dilations as [number, number],
  };
}

/** Calls back for every (tap, output pixel) whose input pixel is no padding. */
function eachTap(w: Window, visit: (tap: number, outPixel: number, inPixel: number) => void): void {
  for (let tap = 0; tap < w.kernelHeight * w.kernelWidth; tap++) {
    const [tapY, tapX] = [Math.floor(tap / w.kernelWidth), tap % w.kernelWidth];
    for (let outPixel = 0; outPixel < w.outHeight * w.outWidth; outPixel++) {
      const y = Math.floor(outPixel / w.outWidth) * w.strides[0] - w.pads[0] + tapY * w.dilations[0];
      const x = (outPixel % w.outWidth) * w.strides[1] - w.pads[1] + tapX * w.dilations[1];
      if (y >= 0 && y < w.inHeight && x >= 0 && x < w.inWidth) visit(tap, outPixel, y * w.inWidth + x);
    }
  }
}

/** [taps, output pixels * input pixels] of 0 and 1: a kernel [c, taps] times it is c convolution matrices. */
export function toeplitzMap(w: Window): Float32Array {
  const [inPixels, outPixels] = [w.inHeight * w.inWidth, w.outHeight * w.outWidth];
  const map = new Float32Array(w.kernelHeight * w.kernelWidth * outPixels * inPixels);
  eachTap(w, (tap, outPixel, inPixel) => {
    map[(tap * outPixels + outPixel) * inPixels + inPixel] = 1;
  });
  return map;
}

/** For each (channel, tap, output pixel) the row of its input pixel, counted from 1; 0 for padding. */
export function windowRows(w: Window): number[] {
  const [inPixels, outPixels, taps] = [
    w.inHeight * w.inWidth,
    w.outHeight * w.outWidth,
    w.kernelHeight * w.kernelWidth,
  ];
  const rows = new Array<number>(w.inChannels * taps * outPixels).fill(0);
  eachTap(w, (tap, outPixel, inPixel) => {
    for (let c = 0; c < w.inChannels; c++)
      rows[(c * taps + tap) * outPixels + outPixel] = 1 + c * inPixels + inPixel;
  });
  return rows;
}

import type { Node } from '../../../../daemon/network/graph.js';
import type { Lowering } from '../lowering.js';
import { physicalOrder, type Value } from '../value.js';

/** How many bytes a weight needs: more than one where its integer less the zero point is beyond int8. */
export function weightParts(weights: Float32Array, scales: Float32Array | undefined): number {
  if (!scales) return 1;
  const depth = weights.length / scales.length;
  let [low, high] = [0, 0];
  weights.forEach((weight, i) => {
    const q = Math.round(weight / (scales[Math.floor(i / depth)] as number));
    low = Math.min(low, q);
    high = Math.max(high, q);
  });
  return low >= -128 && high <= 127 ? 1 : Math.ceil(Math.max(-low, high) / 127);
}

/** Each weight as that many, one behind the other, whose sum it is; in steps of its scale. `scales`: one each output. */
export function splitWeights(weights: Float32Array, scales: Float32Array, parts: number): Float32Array {
  const depth = weights.length / scales.length;
  const split = new Float32Array(weights.length * parts);
  weights.forEach((weight, i) => {
    const scale = scales[Math.floor(i / depth)] as number;
    let left = Math.round(weight / scale);
    for (let part = 0; part < parts; part++) {
      const q = Math.trunc(left / (parts - part));
      split[i * parts + part] = q * scale;
      left -= q;
    }
  });
  return split;
}

/** A value with each place along `axis` so many times, one behind the other: what split weights are multiplied by. */
export function repeatedAlong(node: Node, lowering: Lowering, x: Value, axis: number, times: number): Value {
  const inner = x.dims.length;
  const order = [...physicalOrder(x).filter((other) => other !== axis), axis, inner];
  const spread = { ...x, dims: [...x.dims, times], strides: [...x.strides, 0] };
  const y = lowering.arranged(node, spread, order);
  const dims = x.dims.map((size, other) => (other === axis ? size * times : size));
  return { ...y, dims, strides: y.strides.slice(0, inner).map((stride, i) => (i === axis ? 1 : stride)) };
}

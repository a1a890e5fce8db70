import { gaussian, Xoshiro128 } from '../../../core/rng.js';
import { elementCount } from '../../../network/graph.js';
import type { WeightSource } from '../contract.js';
import { boundedCount } from './network-bounds.js';

/** Larger tensors hold these again and again: drawing takes far longer than copying. */
const mostDrawn = 2 ** 21;

const buffers = new Map<number, Float32Array>();

/** Standard normal values divided by the square root of half the fan-in, from one reproducible stream. */
function values(count: number, fanIn: number): Float32Array {
  // Fan-ins share buffers by powers of two, so that a search builds thousands of networks without drawing again.
  const scale = 2 ** Math.round(Math.log2(Math.max(1, fanIn)));
  const known = buffers.get(scale);
  if (known && known.length >= count) return known.subarray(0, count);
  if (count > mostDrawn) return repeated(values(mostDrawn, fanIn), count);
  const rng = Xoshiro128.fromSeed(scale);
  const fresh = new Float32Array(Math.min(mostDrawn, Math.max(4096, 2 * count)));
  const deviation = Math.sqrt(2 / scale);
  for (let i = 0; i < fresh.length; i++) fresh[i] = gaussian(rng) * deviation;
  buffers.set(scale, fresh);
  return fresh.subarray(0, count);
}

function repeated(drawn: Float32Array, count: number): Float32Array {
  const all = new Float32Array(count);
  for (let at = 0; at < count; at += drawn.length) all.set(drawn.subarray(0, count - at), at);
  return all;
}

/**
 * Weights for latency: reproducible and of sane size (He et al. 2015), so that activations neither vanish into
 * denormal numbers, which are slow, nor overflow. Normalisations are the identity. Not for accuracy.
 */
export const randomWeights: WeightSource = {
  tensor(name, dims) {
    const count = boundedCount(name, dims);
    if (/\.(scale|var)$/.test(name)) return new Float32Array(count).fill(1);
    if (/\.(bias|mean)$/.test(name)) return new Float32Array(count);
    // Convolution weights are [out, in, h, w]; factors of linear layers [in, out]; Gemm weights [out, in].
    const fanIn =
      dims.length === 2 && !name.endsWith('.weight') ? (dims[0] as number) : elementCount(dims.slice(1));
    return values(count, fanIn);
  },
};

import type { Architecture } from '../../core/architecture.js';
import { gaussian, type Rng } from '../../core/rng.js';
import { elementCount } from '../../network/graph.js';
import type { Space, WeightSource } from '../../search/spaces/contract.js';
import type { NamedTensor } from './safetensors.js';

/** Names and shapes of the constants that one architecture asks for. */
export function tensorsOf(space: Space, architecture: Architecture): ReadonlyMap<string, readonly number[]> {
  const asked = new Map<string, readonly number[]>();
  const recorder: WeightSource = {
    tensor(name, dims) {
      asked.set(name, dims);
      return new Float32Array(elementCount(dims));
    },
  };
  space.network(architecture, recorder);
  return asked;
}

/**
 * Architectures that together ask for every tensor at its largest: smallest and largest, and the largest with each
 * decision in turn set to each of its choices, since some choices (patch sizes) have tensors of their own.
 */
function covering(space: Space): readonly Architecture[] {
  const seeds = space.seeds?.() ?? [];
  const largest = seeds.at(-1) as readonly number[] | undefined;
  if (!largest || !space.dims)
    throw new RangeError(`the space ${space.id} names no largest architecture and no dimensions`);
  const variants = space.dims.flatMap((dim, i) =>
    dim.choices.map((_, choice) => space.normalise(largest.map((index, k) => (k === i ? choice : index)))),
  );
  return [...seeds, ...variants];
}

/** Every tensor of the super-network with the largest size that any architecture needs on each axis. */
export function fullDims(space: Space): ReadonlyMap<string, readonly number[]> {
  const full = new Map<string, readonly number[]>();
  for (const architecture of covering(space)) {
    for (const [name, dims] of tensorsOf(space, architecture)) {
      const known = full.get(name);
      full.set(name, known ? known.map((size, axis) => Math.max(size, dims[axis] as number)) : dims);
    }
  }
  return full;
}

/**
 * Weights to start from: those the space came with, else random ones. Convolutions: normal with variance 2 / fan-in (He et al. 2015), linear layers 1 / fan-in,
 * positions 0.02 (Dosovitskiy et al. 2021), normalisations the identity, biases 0.
 */
export function initialise(space: Space, rng: Rng): ReadonlyMap<string, NamedTensor> {
  return new Map(
    [...fullDims(space)].map(([name, dims]) => [
      name,
      { dims, data: space.weights?.tensor(name, dims) ?? initialTensor(name, dims, rng) },
    ]),
  );
}

function initialTensor(name: string, dims: readonly number[], rng: Rng): Float32Array {
  const count = elementCount(dims);
  if (/\.(scale|var)$/.test(name)) return new Float32Array(count).fill(1);
  if (/\.(bias|mean)$/.test(name)) return new Float32Array(count);
  return Float32Array.from({ length: count }, () => gaussian(rng) * deviation(name, dims));
}

function deviation(name: string, dims: readonly number[]): number {
  if (name.endsWith('.position')) return 0.02;
  if (dims.length === 4) return Math.sqrt(2 / elementCount(dims.slice(1)));
  // Gemm weights are [out, in], factors of linear layers [in, out].
  return Math.sqrt(1 / (dims[name.endsWith('.weight') ? 1 : 0] as number));
}

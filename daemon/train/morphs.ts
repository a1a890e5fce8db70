import { HildaError } from '../core/errors.js';
import { gaussian, type Rng } from '../core/rng.js';
import { elementCount } from '../network/graph.js';
import type { MbconvFile } from '../search/spaces/mbconv/file.js';
import { type Choice, listLayers } from '../search/spaces/mbconv/file.js';
import { tensorPrefix } from '../search/spaces/mbconv/network.js';
import type { NamedTensor } from './weights/safetensors.js';

type Tensors = Map<string, NamedTensor>;

/**
 * Function-preserving growth (Net2Net: Chen, Goodfellow and Shlens, ICLR 2016; the moves of EAS, Cai et al., AAAI 2018,
 * section 3) of an MBConv network: weights of a larger architecture that computes what the smaller one does.
 * - wider: a larger expansion repeats hidden channels drawn at random and divides what leads out of them by their count
 *   (Net2WiderNet, equation 4);
 * - deeper: a layer left out becomes one that ends in a scale of zero, so that its shortcut is the identity (Net2DeeperNet);
 * - a larger kernel surrounds the old one with zeros.
 * `noise` breaks the symmetry of repeated channels: standard deviation relative to 1; 0 keeps the function exactly.
 * Throws ARCHITECTURE_INVALID where a layer does not grow.
 */
export function morph(
  file: MbconvFile,
  tensors: ReadonlyMap<string, NamedTensor>,
  {
    from,
    to,
    rng,
    noise = 0,
  }: {
    readonly from: readonly number[];
    readonly to: readonly number[];
    readonly rng: Rng;
    readonly noise?: number;
  },
): Map<string, NamedTensor> {
  const out: Tensors = new Map(tensors);
  for (const [l, layer] of listLayers(file).entries()) {
    const before = layer.choices[from[l] as number] as Choice | 'skip';
    const after = layer.choices[to[l] as number] as Choice | 'skip';
    if (from[l] === to[l]) continue;
    const why = whyNot(before, after);
    if (why) throw notGrowth(layer.name, why);
    const grown = after as Choice;
    const name = tensorPrefix(layer.name, grown);
    if (before === 'skip') {
      insert(out, name, layer.inWidth, layer.width, grown, rng);
      continue;
    }
    const [old, wide] = [layer.inWidth * before.expansion, layer.inWidth * grown.expansion];
    // Channel j of the wider layer repeats channel map[j] of the old one.
    const map = Array.from({ length: wide }, (_, j) => (j < old ? j : Math.floor(rng.next() * old)));
    const copies = map.reduce<number[]>((count, j) => {
      count[j] = (count[j] ?? 0) + 1;
      return count;
    }, []);
    if (wide > old) {
      for (const part of ['expand', 'depthwise']) repeatChannels(out, `${name}.${part}`, map, noise, rng);
      divideInputs(out, `${name}.project.weight`, map, copies);
    }
    if (grown.kernel > before.kernel) padKernel(out, `${name}.depthwise.weight`, grown.kernel);
  }
  return out;
}

/**
 * How many layers grow on the way from one architecture to another; undefined where some layer does not grow, so that no
 * weights can be inherited.
 */
export function growth(file: MbconvFile, from: readonly number[], to: readonly number[]): number | undefined {
  let grown = 0;
  for (const [l, { choices }] of listLayers(file).entries()) {
    if (from[l] === to[l]) continue;
    if (whyNot(choices[from[l] as number], choices[to[l] as number])) return undefined;
    grown++;
  }
  return grown;
}

function whyNot(before: Choice | 'skip' | undefined, after: Choice | 'skip' | undefined): string | undefined {
  if (after === 'skip' || !after || !before) return 'it would be left out';
  if (before === 'skip') return undefined;
  if (after.kernel < before.kernel || after.expansion < before.expansion) return 'it would shrink';
  if (before.expansion === 1 && after.expansion > 1) return 'an expansion from 1 adds an activation';
  return undefined;
}

const notGrowth = (layer: string, why: string): HildaError =>
  new HildaError('ARCHITECTURE_INVALID', `${layer} does not grow: ${why}`, {
    hint: 'Function-preserving moves are a larger kernel, a larger expansion, and a layer in place of none.',
  });

const tensorOf = (tensors: Tensors, name: string): NamedTensor => {
  const tensor = tensors.get(name);
  if (!tensor) throw new HildaError('SUPERNET_INVALID', `the weights lack ${name}`);
  return tensor;
};

/** Axis 0 of a convolution's weight and of its normalisation. */
function repeatChannels(
  tensors: Tensors,
  name: string,
  map: readonly number[],
  noise: number,
  rng: Rng,
): void {
  for (const key of ['weight', 'bn.scale', 'bn.bias', 'bn.mean', 'bn.var']) {
    const { dims, data } = tensorOf(tensors, `${name}.${key}`);
    const row = elementCount(dims.slice(1));
    const wide = new Float32Array(map.length * row);
    const seen = new Set<number>();
    map.forEach((source, j) => {
      const jitter = seen.has(source) && key === 'weight' ? noise : 0;
      seen.add(source);
      for (let i = 0; i < row; i++)
        wide[j * row + i] = (data[source * row + i] as number) + jitter * gaussian(rng);
    });
    tensors.set(`${name}.${key}`, { dims: [map.length, ...dims.slice(1)], data: wide });
  }
}

/** Axis 1 of a 1x1 convolution [out, in, 1, 1]: every copy of a channel carries its share. */
function divideInputs(
  tensors: Tensors,
  name: string,
  map: readonly number[],
  copies: readonly number[],
): void {
  const { dims, data } = tensorOf(tensors, name);
  const [out, old] = dims as [number, number];
  const wide = new Float32Array(out * map.length);
  for (let o = 0; o < out; o++)
    map.forEach((source, j) => {
      wide[o * map.length + j] = (data[o * old + source] as number) / (copies[source] as number);
    });
  tensors.set(name, { dims: [out, map.length, 1, 1], data: wide });
}

function padKernel(tensors: Tensors, name: string, kernel: number): void {
  const { dims, data } = tensorOf(tensors, name);
  const [channels, , old] = dims as [number, number, number];
  const margin = (kernel - old) >> 1;
  const padded = new Float32Array(channels * kernel * kernel);
  for (let c = 0; c < channels; c++)
    for (let y = 0; y < old; y++)
      for (let x = 0; x < old; x++)
        padded[(c * kernel + y + margin) * kernel + x + margin] = data[(c * old + y) * old + x] as number;
  tensors.set(name, { dims: [channels, 1, kernel, kernel], data: padded });
}

/**
 * A layer whose last normalisation has scale zero: beside its shortcut it adds nothing until it is trained. Zero weights
 * in front of it would do the same, but their slopes grow by the inverse deviation of what they make, which is zero.
 */
function insert(
  tensors: Tensors,
  name: string,
  inWidth: number,
  width: number,
  choice: Choice,
  rng: Rng,
): void {
  const mid = inWidth * choice.expansion;
  const conv = (part: string, dims: readonly number[], bnScale: number): void => {
    const fanIn = elementCount(dims.slice(1));
    const data = Float32Array.from(
      { length: elementCount(dims) },
      () => Math.sqrt(2 / fanIn) * gaussian(rng),
    );
    tensors.set(`${name}.${part}.weight`, { dims, data });
    const [out] = dims as [number];
    for (const [key, value] of [
      ['scale', bnScale],
      ['bias', 0],
      ['mean', 0],
      ['var', 1],
    ] as const)
      tensors.set(`${name}.${part}.bn.${key}`, { dims: [out], data: new Float32Array(out).fill(value) });
  };
  if (choice.expansion > 1) conv('expand', [mid, inWidth, 1, 1], 1);
  conv('depthwise', [mid, 1, choice.kernel, choice.kernel], 1);
  conv('project', [width, mid, 1, 1], 0);
}

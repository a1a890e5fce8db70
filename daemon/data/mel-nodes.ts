import { freshNames } from '../network/fresh-names.js';
import { floatTensor, type Graph, int64Tensor, type Node, type Tensor } from '../network/graph.js';
import { frameCount, hannWindow, type MelOptions, melFilters } from './mel.js';

export interface MelFrontEnd {
  readonly mel: MelOptions;
  /** Of one input. */
  readonly samples: number;
  /** Subtracted from every feature, then divided by. */
  readonly mean: number;
  readonly deviation: number;
}

/**
 * A network on features [1, 1, bands, frames] as one on samples [1, 1, 1, samples]: framing, window and Fourier transform
 * are one convolution (its kernels: cosines and sines under the window), then squares or absolute values, the mel matrix
 * as a convolution of 1 x 1, the logarithm and the normalisation. Bins that no band uses are left out.
 */
export function withMelFrontEnd(graph: Graph, { mel, samples, mean, deviation }: MelFrontEnd): Graph {
  const input = graph.inputs[0];
  const frames = frameCount(samples, mel);
  const dims = [1, 1, mel.bands, frames];
  if (!input || graph.inputs.length !== 1 || input.dims.slice(1).some((dim, i) => dim !== dims[i + 1]))
    throw new TypeError(
      `the network takes ${input?.dims.join(' x ')}, the front end gives ${dims.join(' x ')}`,
    );
  const fresh = freshNames(graph);
  const initializers = new Map<string, Tensor>(graph.initializers);
  const constant = (name: string, tensor: Tensor): string => {
    const free = fresh(name);
    initializers.set(free, tensor);
    return free;
  };
  const nodes: Node[] = [];
  const add = (
    op: string,
    inputs: readonly string[],
    output: string,
    attributes: Node['attributes'] = {},
  ): string => {
    nodes.push({ name: fresh(`mel.${op}`), op, domain: '', inputs, outputs: [output], attributes });
    return output;
  };
  const { basis, matrix, bins } = kernels(mel);
  const source = fresh('samples');
  const waves = constant('mel.waves', floatTensor([2 * bins, 1, 1, mel.window], basis));
  const spectrum = add('Conv', [source, waves], fresh('mel.spectrum'), {
    kernel_shape: [1, mel.window],
    strides: [1, mel.hop],
    pads: [0, 0, 0, 0],
  });
  const sizes = fresh('mel.sizes');
  if (mel.spectrum === 'power') add('Mul', [spectrum, spectrum], sizes);
  else add('Abs', [spectrum], sizes);
  const filters = constant('mel.filters', floatTensor([mel.bands, 2 * bins, 1, 1], matrix));
  const floor = constant('mel.floor', floatTensor([mel.bands], new Float32Array(mel.bands).fill(mel.floor)));
  const energy = add('Conv', [sizes, filters, floor], fresh('mel.energy'), { kernel_shape: [1, 1] });
  const logs = add('Log', [energy], fresh('mel.logs'));
  const scale = constant('mel.scale', floatTensor([], [1 / deviation]));
  const shift = constant('mel.shift', floatTensor([], [-mean / deviation]));
  const scaled = add('Mul', [logs, scale], fresh('mel.scaled'));
  const shifted = add('Add', [scaled, shift], fresh('mel.shifted'));
  add('Reshape', [shifted, constant('mel.dims', int64Tensor(dims))], input.name);
  return {
    ...graph,
    inputs: [{ name: source, dtype: 'float32', dims: [1, 1, 1, samples] }],
    initializers,
    nodes: [...nodes, ...graph.nodes],
  };
}

/** Cosines, then sines, of the bins in use; the mel matrix for the sizes of both. */
function kernels(mel: MelOptions): {
  readonly basis: Float32Array;
  readonly matrix: Float32Array;
  readonly bins: number;
} {
  const filters = melFilters(mel);
  const used = Array.from({ length: mel.fft / 2 + 1 }, (_, k) => k).filter((k) =>
    filters.some((weights) => (weights[k] as number) > 0),
  );
  const bins = used.length;
  const hann = hannWindow(mel.window);
  const basis = new Float32Array(2 * bins * mel.window);
  used.forEach((k, row) => {
    for (let n = 0; n < mel.window; n++) {
      // The angle is reduced before the cosine, which keeps its digits.
      const angle = (2 * Math.PI * ((k * n) % mel.fft)) / mel.fft;
      basis[row * mel.window + n] = (hann[n] as number) * Math.cos(angle);
      basis[(bins + row) * mel.window + n] = -(hann[n] as number) * Math.sin(angle);
    }
  });
  const matrix = Float32Array.from(
    filters.flatMap((weights) => [...used, ...used].map((k) => weights[k] as number)),
  );
  return { basis, matrix, bins };
}

import { floatTensor, type Graph, int64Tensor, type Node } from '../../network/graph.js';
import { GraphBuilder } from '../../network/graph-builder.js';
import { toeplitzMap, type Window, windowOf, windowRows } from './windows.js';

/**
 * Depthwise convolutions become products with matrices of (output pixels x input pixels) up to this many elements. Larger
 * maps stay convolutions, whose gradient is one too: the matrices grow with the square of the pixels.
 */
const maxToeplitzElements = 200 * 200;

/** A feature map [n, c, h, w] held as the matrix [c, h * w * n]: batch innermost. */
interface Map4 {
  readonly matrix: string;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

const elementwise = new Set([
  'Clip',
  'Relu',
  'HardSwish',
  'HardSigmoid',
  'Sigmoid',
  'Tanh',
  'Erf',
  'Identity',
  'Add',
  'Mul',
  'Sub',
  'Div',
]);

/**
 * The same network on another memory layout, for training. onnxruntime's convolution is slow where the weights are no
 * constants; products of matrices are fast. With channels outermost and the batch innermost
 * - a 1x1 convolution is one product, its gradients two more;
 * - a depthwise convolution on a small map is one product a channel with a (doubly blocked) Toeplitz matrix, which a
 *   constant 0/1 map spreads the kernel into and whose transpose brings the kernel's gradient back;
 * - a convolution of the network's input, which needs no gradient, gathers its windows by constant indices;
 * - batch normalisation works on rows.
 * All else that the graph holds is computed in its own layout. The result is an ordinary graph and equal to the first
 * but for rounding. The graph's batch is fixed.
 */
export function channelMajor(graph: Graph): Graph {
  return new Lowering(graph).run();
}

class Lowering {
  readonly #graph: Graph;
  readonly #b: GraphBuilder;
  readonly #batch: number;
  readonly #maps = new Map<string, Map4>();
  /** Values of the new graph by their names in the old one. */
  readonly #plain = new Map<string, string>();
  readonly #rows = new Map<string, string>();

  constructor(graph: Graph) {
    this.#graph = graph;
    this.#b = new GraphBuilder({ name: graph.name, opset: graph.opset });
    this.#batch = graph.inputs[0]?.dims[0] as number;
  }

  run(): Graph {
    const b = this.#b;
    for (const { name, dtype, dims } of this.#graph.inputs)
      this.#plain.set(name, b.input(name, dtype, dims as number[]));
    for (const [name, tensor] of this.#graph.initializers) this.#plain.set(name, b.constant(name, tensor));
    for (const node of this.#graph.nodes) this.#lower(node);
    for (const { name } of this.#graph.outputs) b.output(this.#asPlain(name), `${name}.plain`);
    const built = b.build();
    // Constants that only the first layout used (shapes) cost bytes.
    const used = new Set(built.nodes.flatMap((node) => node.inputs));
    return { ...built, initializers: new Map([...built.initializers].filter(([name]) => used.has(name))) };
  }

  #lower(node: Node): void {
    const [first = ''] = node.inputs;
    const map = this.#maps.get(first);
    if (node.op === 'Conv' && this.#lowerConv(node)) return;
    if (map && node.op === 'BatchNormalization') {
      const parameters = node.inputs.slice(1).map((name) => this.#asPlain(name));
      const { channels } = map;
      const normal = this.#b.node(
        'BatchNormalization',
        [this.#b.reshape(map.matrix, [1, channels, -1]), ...parameters],
        node.attributes,
      );
      this.#setMap(node, { ...map, matrix: this.#b.reshape(normal, [channels, -1]) });
      return;
    }
    if (map && node.op === 'GlobalAveragePool') {
      const pixels = this.#b.reshape(map.matrix, [map.channels, map.height * map.width, this.#batch]);
      const mean = this.#b.reduceMean(pixels, [1], 0);
      this.#setMap(node, { channels: map.channels, height: 1, width: 1, matrix: mean });
      return;
    }
    if (map && node.op === 'Flatten' && map.height * map.width === 1) {
      this.#plain.set(node.outputs[0] as string, this.#b.transpose(map.matrix, [1, 0]));
      return;
    }
    if (elementwise.has(node.op) && this.#lowerElementwise(node)) return;
    const outputs = this.#b.nodeMulti(
      node.op,
      node.inputs.map((name) => (name === '' ? '' : this.#asPlain(name))),
      node.attributes,
      {
        outputs: node.outputs.length,
        domain: node.domain,
      },
    );
    node.outputs.forEach((name, i) => {
      this.#plain.set(name, outputs[i] as string);
    });
  }

  /** Maps of one shape and scalars. */
  #lowerElementwise(node: Node): boolean {
    const present = node.inputs.filter((name) => name !== '');
    const maps = present.flatMap((name) => this.#maps.get(name) ?? []);
    const [map] = maps;
    if (!map) return false;
    const same = maps.every(
      (other) => other.channels === map.channels && other.height === map.height && other.width === map.width,
    );
    const scalars = present.every(
      (name) => this.#maps.has(name) || this.#b.dimsOf(this.#asPlain(name)).every((size) => size === 1),
    );
    if (!same || !scalars) return false;
    const inputs = node.inputs.map(
      (name) => this.#maps.get(name)?.matrix ?? (name === '' ? '' : this.#asPlain(name)),
    );
    this.#setMap(node, { ...map, matrix: this.#b.node(node.op, inputs, node.attributes) });
    return true;
  }

  #lowerConv(node: Node): boolean {
    const b = this.#b;
    const [x, weight, bias] = node.inputs as [string, string, string | undefined];
    const known = this.#maps.get(x);
    const dims = known
      ? [this.#batch, known.channels, known.height, known.width]
      : b.dimsOf(this.#asPlain(x));
    const kernel = b.dimsOf(this.#asPlain(weight));
    if (dims.length !== 4) return false;
    const window = windowOf(node, dims, kernel);
    const matrix = this.#convMatrix(window, x, this.#asPlain(weight));
    if (matrix === undefined) return false;
    const { outChannels: channels, outHeight: height, outWidth: width } = window;
    const biased = bias ? b.add(matrix, b.reshape(this.#asPlain(bias), [channels, 1])) : matrix;
    this.#setMap(node, { matrix: biased, channels, height, width });
    return true;
  }

  #convMatrix(window: Window, x: string, weight: string): string | undefined {
    const b = this.#b;
    const { groups, inChannels, outChannels, kernelHeight, kernelWidth } = window;
    const taps = kernelHeight * kernelWidth;
    const [inPixels, outPixels] = [window.inHeight * window.inWidth, window.outHeight * window.outWidth];
    const pointwise = taps === 1 && inPixels === outPixels;
    if (groups === 1 && pointwise) {
      return b.matMul(b.reshape(weight, [outChannels, inChannels]), this.#asMap(x).matrix);
    }
    if (groups === 1 && this.#graph.inputs.some(({ name }) => name === x)) {
      return b.matMul(b.reshape(weight, [outChannels, inChannels * taps]), this.#windows(window, x));
    }
    if (groups === inChannels && groups === outChannels && inPixels * outPixels <= maxToeplitzElements) {
      const name = `toeplitz_${[window.inHeight, window.inWidth, kernelHeight, kernelWidth, ...window.strides, ...window.pads, ...window.dilations].join('_')}`;
      const map = b.hasConstant(name)
        ? name
        : b.constant(name, floatTensor([taps, outPixels * inPixels], toeplitzMap(window)));
      const toeplitz = b.reshape(b.matMul(b.reshape(weight, [groups, taps]), map), [
        groups,
        outPixels,
        inPixels,
      ]);
      const pixels = b.reshape(this.#asMap(x).matrix, [groups, inPixels, this.#batch]);
      return b.reshape(b.matMul(toeplitz, pixels), [groups, outPixels * this.#batch]);
    }
    return undefined;
  }

  /** Windows of the network's input as rows [channels * taps, output pixels * batch]; row 0 of the source is padding. */
  #windows(window: Window, x: string): string {
    const b = this.#b;
    let source = this.#rows.get(x);
    if (source === undefined) {
      const flat = b.transpose(b.reshape(this.#asPlain(x), [this.#batch, -1]), [1, 0]);
      const name = `${x}.padding`;
      source = b.concat(
        [b.constant(name, floatTensor([1, this.#batch], new Float32Array(this.#batch))), flat],
        0,
      );
      this.#rows.set(x, source);
    }
    const rows = windowRows(window);
    const indices = b.constant(`${x}.windows_${this.#maps.size}`, int64Tensor(rows));
    const taps = window.inChannels * window.kernelHeight * window.kernelWidth;
    return b.reshape(b.node('Gather', [source, indices], { axis: 0 }), [taps, -1]);
  }

  #setMap(node: Node, map: Map4): void {
    this.#maps.set(node.outputs[0] as string, map);
  }

  /** A value in the old layout. */
  #asPlain(name: string): string {
    const known = this.#plain.get(name);
    if (known !== undefined) return known;
    const { matrix, channels, height, width } = this.#maps.get(name) as Map4;
    const value = this.#b.transpose(
      this.#b.reshape(matrix, [channels, height, width, this.#batch]),
      [3, 0, 1, 2],
    );
    this.#plain.set(name, value);
    return value;
  }

  /** A value [n, c, h, w] in the new layout. */
  #asMap(name: string): Map4 {
    const known = this.#maps.get(name);
    if (known) return known;
    const value = this.#asPlain(name);
    const [, channels, height, width] = this.#b.dimsOf(value) as [number, number, number, number];
    const map = {
      channels,
      height,
      width,
      matrix: this.#b.reshape(this.#b.transpose(value, [1, 2, 3, 0]), [channels, -1]),
    };
    this.#maps.set(name, map);
    return map;
  }
}

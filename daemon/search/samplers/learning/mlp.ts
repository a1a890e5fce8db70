import { gaussian, type Rng } from '../../../core/rng.js';

/**
 * A small multi-layer perceptron with tanh hidden layers and linear outputs, trained by Adam (Kingma and Ba 2015) on
 * gradients that the caller gives for the outputs. Small enough to be trained anew at every ask: no state to store.
 */
export class Mlp {
  readonly #layers: Layer[];
  #t = 0;

  /** `sizes`: inputs, hidden layers, outputs. Glorot's initialisation (2010). */
  constructor(sizes: readonly number[], rng: Rng) {
    this.#layers = sizes.slice(1).map((out, l) => new Layer(sizes[l] as number, out, rng));
  }

  /** A copy whose last layer is new: what pretraining hands on. */
  withNewHead(outputs: number, rng: Rng): Mlp {
    const hidden = this.#layers.slice(0, -1);
    const copy = new Mlp([(hidden[0] as Layer).inputs, outputs], rng);
    const head = new Layer((this.#layers.at(-1) as Layer).inputs, outputs, rng);
    copy.#layers.splice(0, copy.#layers.length, ...hidden.map((layer) => layer.copy()), head);
    return copy;
  }

  /** Activations of every layer, the input first. */
  forward(x: Float64Array): Float64Array[] {
    const activations = [x];
    this.#layers.forEach((layer, l) => {
      activations.push(layer.forward(activations[l] as Float64Array, l < this.#layers.length - 1));
    });
    return activations;
  }

  output(x: Float64Array): Float64Array {
    return this.forward(x).at(-1) as Float64Array;
  }

  /** Adds the gradients of one example; gives the gradient of its input. */
  backward(activations: readonly Float64Array[], outputGradient: Float64Array): Float64Array {
    let gradient = outputGradient;
    for (let l = this.#layers.length - 1; l >= 0; l--) {
      const layer = this.#layers[l] as Layer;
      const back = new Float64Array(layer.inputs);
      layer.backward(activations[l] as Float64Array, activations[l + 1] as Float64Array, gradient, {
        isHidden: l < this.#layers.length - 1,
        back,
      });
      gradient = back;
    }
    return gradient;
  }

  /**
   * Adds the gradients of one example. `slopes` gives the gradient of the outputs it is handed, which are overwritten by
   * the next example; it may give the same array each time. Cheaper than `forward` and `backward`: nothing is
   * allocated, and the gradient of the input, the larger part where the input is wide, is left out.
   */
  learn(x: Float64Array, slopes: (outputs: Float64Array) => Float64Array): void {
    const layers = this.#layers;
    const last = layers.length - 1;
    let y: Float64Array = x;
    for (let l = 0; l <= last; l++) {
      const layer = layers[l] as Layer;
      y = layer.forward(y, l < last, layer.y);
    }
    let gradient: Float64Array = slopes(y);
    for (let l = last; l >= 0; l--) {
      const layer = layers[l] as Layer;
      const back = l > 0 ? layer.back.fill(0) : undefined;
      const input = l > 0 ? (layers[l - 1] as Layer).y : x;
      layer.addGradient(input, layer.y, gradient, l < last, back);
      if (back) gradient = back;
    }
  }

  /** One Adam step on the gradients added since the last, divided by `examples`. The first `frozen` layers stay. */
  step(rate: number, examples: number, { decay = 0, frozen = 0 } = {}): void {
    this.#t++;
    for (const [l, layer] of this.#layers.entries())
      layer.step(l < frozen ? 0 : rate, examples, this.#t, decay);
  }

  get hiddenLayers(): number {
    return this.#layers.length - 1;
  }
}

class Layer {
  readonly inputs: number;
  readonly outputs: number;
  /** Weights to all outputs, input by input, then the biases: along memory, sums of several outputs do not wait for each other. */
  #w: Float64Array;
  #g: Float64Array;
  #m: Float64Array;
  #v: Float64Array;
  readonly #active: Int32Array;
  #activeCount = 0;
  readonly #scaled: Float64Array;
  /** What learning writes into: the outputs, and the gradient of the inputs. */
  readonly y: Float64Array;
  readonly back: Float64Array;

  constructor(inputs: number, outputs: number, rng: Rng) {
    this.inputs = inputs;
    this.outputs = outputs;
    this.#active = new Int32Array(inputs);
    this.#scaled = new Float64Array(outputs);
    this.y = new Float64Array(outputs);
    this.back = new Float64Array(inputs);
    const length = outputs * (inputs + 1);
    const scale = Math.sqrt(2 / (inputs + outputs));
    this.#w = new Float64Array(length);
    for (let o = 0; o < outputs; o++)
      for (let i = 0; i < inputs; i++) this.#w[i * outputs + o] = scale * gaussian(rng);
    [this.#g, this.#m, this.#v] = [
      new Float64Array(length),
      new Float64Array(length),
      new Float64Array(length),
    ];
  }

  copy(): Layer {
    const copy = new Layer(this.inputs, this.outputs, { next: () => 0.5, state: () => [0, 0, 0, 0] });
    copy.#w = Float64Array.from(this.#w);
    return copy;
  }

  forward(
    x: Float64Array,
    isHidden: boolean,
    y: Float64Array = new Float64Array(this.outputs),
  ): Float64Array {
    const count = this.#findActive(x);
    const w = this.#w;
    const active = this.#active;
    const { inputs, outputs } = this;
    const biases = inputs * outputs;
    for (let o = 0; o < outputs; o++) y[o] = w[biases + o] as number;
    for (let k = 0; k < count; k++) {
      const i = active[k] as number;
      const value = x[i] as number;
      const at = i * outputs;
      for (let o = 0; o < outputs; o++) y[o] = (y[o] as number) + (w[at + o] as number) * value;
    }
    if (isHidden) for (let o = 0; o < outputs; o++) y[o] = Math.tanh(y[o] as number);
    return y;
  }

  /** Adds to the weights' gradients and, where `back` is given, to the input's. */
  backward(
    x: Float64Array,
    y: Float64Array,
    gradient: Float64Array,
    { isHidden, back }: { readonly isHidden: boolean; readonly back: Float64Array | undefined },
  ): void {
    this.#findActive(x);
    this.addGradient(x, y, gradient, isHidden, back);
  }

  /** The same right after `forward` on this x, when what is active in it is known. */
  addGradient(
    x: Float64Array,
    y: Float64Array,
    gradient: Float64Array,
    isHidden: boolean,
    back: Float64Array | undefined,
  ): void {
    const count = this.#activeCount;
    const w = this.#w;
    const slopes = this.#g;
    const active = this.#active;
    const scaled = this.#scaled;
    const { inputs, outputs } = this;
    const biases = inputs * outputs;
    for (let o = 0; o < outputs; o++) {
      const out = y[o] as number;
      const g = (gradient[o] as number) * (isHidden ? 1 - out * out : 1);
      scaled[o] = g;
      slopes[biases + o] = (slopes[biases + o] as number) + g;
    }
    for (let k = 0; k < count; k++) {
      const i = active[k] as number;
      const value = x[i] as number;
      const at = i * outputs;
      for (let o = 0; o < outputs; o++)
        slopes[at + o] = (slopes[at + o] as number) + (scaled[o] as number) * value;
    }
    if (!back) return;
    for (let i = 0; i < inputs; i++) {
      let sum = back[i] as number;
      for (let o = 0; o < outputs; o++) sum += (scaled[o] as number) * (w[i * outputs + o] as number);
      back[i] = sum;
    }
  }

  /** Lists the entries of x that are not 0 and counts them: one a decision where x is one-hot. */
  #findActive(x: Float64Array): number {
    let count = 0;
    for (let i = 0; i < this.inputs; i++) if (x[i] !== 0) this.#active[count++] = i;
    this.#activeCount = count;
    return count;
  }

  step(rate: number, examples: number, t: number, decay: number): void {
    const [w, g, m, v] = [this.#w, this.#g, this.#m, this.#v];
    if (rate > 0) {
      const [c1, c2] = [1 - 0.9 ** t, 1 - 0.999 ** t];
      for (let i = 0; i < w.length; i++) {
        const slope = (g[i] as number) / examples;
        m[i] = 0.9 * (m[i] as number) + 0.1 * slope;
        v[i] = 0.999 * (v[i] as number) + 0.001 * slope * slope;
        const step = (m[i] as number) / c1 / (Math.sqrt((v[i] as number) / c2) + 1e-8);
        w[i] = (w[i] as number) - rate * (step + decay * (w[i] as number));
      }
    }
    g.fill(0);
  }
}

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
    const last = this.#layers.length - 1;
    let y: Float64Array = x;
    this.#layers.forEach((layer, l) => {
      y = layer.forward(y, l < last, layer.y);
    });
    let gradient: Float64Array = slopes(y);
    for (let l = last; l >= 0; l--) {
      const layer = this.#layers[l] as Layer;
      const back = l > 0 ? layer.back.fill(0) : undefined;
      const input = l > 0 ? (this.#layers[l - 1] as Layer).y : x;
      layer.backward(input, layer.y, gradient, { isHidden: l < last, back });
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
  /** Rows of weights, each with its bias at the end. */
  #w: Float64Array;
  #g: Float64Array;
  #m: Float64Array;
  #v: Float64Array;
  readonly #active: Int32Array;
  /** What learning writes into: the outputs, and the gradient of the inputs. */
  readonly y: Float64Array;
  readonly back: Float64Array;

  constructor(inputs: number, outputs: number, rng: Rng) {
    this.inputs = inputs;
    this.outputs = outputs;
    this.#active = new Int32Array(inputs);
    this.y = new Float64Array(outputs);
    this.back = new Float64Array(inputs);
    const length = outputs * (inputs + 1);
    const scale = Math.sqrt(2 / (inputs + outputs));
    this.#w = Float64Array.from({ length }, (_, i) =>
      i % (inputs + 1) === inputs ? 0 : scale * gaussian(rng),
    );
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
    const [w, active] = [this.#w, this.#active];
    for (let o = 0; o < this.outputs; o++) {
      const at = o * (this.inputs + 1);
      let sum = w[at + this.inputs] as number;
      for (let k = 0; k < count; k++) {
        const i = active[k] as number;
        sum += (w[at + i] as number) * (x[i] as number);
      }
      y[o] = isHidden ? Math.tanh(sum) : sum;
    }
    return y;
  }

  /** Adds to the weights' gradients and, where `back` is given, to the input's. */
  backward(
    x: Float64Array,
    y: Float64Array,
    gradient: Float64Array,
    { isHidden, back }: { readonly isHidden: boolean; readonly back: Float64Array | undefined },
  ): void {
    const count = this.#findActive(x);
    const [w, slopes, active] = [this.#w, this.#g, this.#active];
    for (let o = 0; o < this.outputs; o++) {
      const at = o * (this.inputs + 1);
      const g = (gradient[o] as number) * (isHidden ? 1 - (y[o] as number) ** 2 : 1);
      if (g === 0) continue;
      for (let k = 0; k < count; k++) {
        const i = active[k] as number;
        slopes[at + i] = (slopes[at + i] as number) + g * (x[i] as number);
      }
      slopes[at + this.inputs] = (slopes[at + this.inputs] as number) + g;
      if (back)
        for (let i = 0; i < this.inputs; i++) back[i] = (back[i] as number) + g * (w[at + i] as number);
    }
  }

  /** Lists the entries of x that are not 0 and counts them: one a decision where x is one-hot. */
  #findActive(x: Float64Array): number {
    let count = 0;
    for (let i = 0; i < this.inputs; i++) if (x[i] !== 0) this.#active[count++] = i;
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

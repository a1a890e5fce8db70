import { writeOnnx } from '../network/write-onnx.js';
import type { RuntimeTensor } from '../runtime/messages.js';
import type { SessionProcess } from '../runtime/session-process.js';
import type { CallOptions } from './network-trainer.js';
import { type OptimizerGraph, type OptimizerSpec, optimizerGraph } from './optimizer.js';

/** Steps of an optimiser; its state stays in the runtime's process and is fetched for checkpoints only. */
export class OptimizerSession {
  readonly #runtime: SessionProcess;
  readonly #optimizer: OptimizerGraph;
  readonly #length: number;
  #handle: number | undefined;
  #started = false;
  #initial: Readonly<Record<string, Float32Array>> = {};

  constructor(runtime: SessionProcess, spec: OptimizerSpec, decayed: Float32Array) {
    this.#runtime = runtime;
    this.#optimizer = optimizerGraph(spec, decayed);
    this.#length = decayed.length;
  }

  /** State vectors of a checkpoint; zeros where left out. Before the first step. */
  restore(state: Readonly<Record<string, Float32Array>>): void {
    this.#initial = state;
  }

  /** Gives the new weights. `t` counts the steps from 1. */
  async step(
    weights: Float32Array,
    gradient: Float32Array,
    { rate, t }: { readonly rate: number; readonly t: number },
    options: CallOptions,
  ): Promise<Float32Array> {
    const { graph, state, scalars } = this.#optimizer;
    this.#handle ??= (await this.#runtime.load(writeOnnx(graph), { arena: false }, options)).handle;
    const vector = (data: Float32Array): RuntimeTensor => ({ type: 'float32', dims: [this.#length], data });
    const feeds: Record<string, RuntimeTensor> = { gradient: vector(gradient) };
    for (const [name, value] of Object.entries({ rate, ...scalars(t) }))
      feeds[name] = { type: 'float32', dims: [], data: Float32Array.of(value) };
    if (!this.#started) {
      feeds.weights = vector(weights);
      for (const name of state) feeds[name] = vector(this.#initial[name] ?? new Float32Array(this.#length));
    }
    this.#started = true;
    const carry = Object.fromEntries(['weights', ...state].map((name) => [name, `${name}.next`]));
    const answers = await this.#runtime.run(this.#handle, feeds, { carry, fetch: ['weights.next'] }, options);
    return answers['weights.next']?.data as Float32Array;
  }

  async state(options: CallOptions): Promise<Readonly<Record<string, Float32Array>>> {
    if (this.#handle === undefined || !this.#started) return this.#initial;
    const carried = await this.#runtime.carried(this.#handle, options);
    return Object.fromEntries(
      this.#optimizer.state.map((name) => [name, carried[name]?.data as Float32Array]),
    );
  }
}

import { type Architecture, architectureId } from '../core/architecture.js';
import { elementCount } from '../network/graph.js';
import { writeOnnx } from '../network/write-onnx.js';
import type { RuntimeTensor } from '../runtime/messages.js';
import type { SessionProcess } from '../runtime/session-process.js';
import type { Space } from '../search/spaces/contract.js';
import { type Parameter, trainingGraph } from './differentiation/training-graph.js';
import { tensorsOf } from './weights/initial-weights.js';
import type { NamedTensor } from './weights/safetensors.js';
import { addCut, cut } from './weights/shared-weights.js';

interface Session {
  readonly handle: number;
  readonly parameters: readonly Parameter[];
  readonly parameterCount: number;
}

/** What one forward and backward pass gave. */
export interface Passed {
  readonly loss: number;
  /** [batch, classes]. */
  readonly probabilities: Float32Array;
  /** Of all weights of the sub-network, laid out as `parameters` says. */
  readonly gradient: Float32Array;
  readonly parameters: readonly Parameter[];
}

interface Options {
  readonly space: Space;
  readonly runtime: SessionProcess;
  readonly imageDims: readonly number[];
  readonly batch: number;
  readonly classes: number;
  readonly threads: number;
  /** Sessions alive at a time: each holds its constants and its activations. */
  readonly maxSessions: number;
}

export interface CallOptions {
  readonly signal: AbortSignal;
}

/** Forward and backward passes of sub-networks; sessions by architecture, the least recently used one goes first. */
export class NetworkTrainer {
  readonly #options: Options;
  /** In order of last use. */
  readonly #sessions = new Map<string, Session>();

  constructor(options: Options) {
    this.#options = options;
  }

  /** One pass of the architecture's part of the shared weights over a batch. */
  async pass(
    architecture: Architecture,
    tensors: ReadonlyMap<string, NamedTensor>,
    images: Float32Array,
    targets: Float32Array,
    options: CallOptions,
  ): Promise<Passed> {
    const { imageDims, batch, classes, runtime } = this.#options;
    const session = await this.#sessionOf(architecture, options);
    const weights = new Float32Array(session.parameterCount);
    for (const { name, dims, offset } of session.parameters)
      weights.set(cut(tensors.get(name) as NamedTensor, dims), offset);
    const float = (dims: readonly number[], data: Float32Array): RuntimeTensor => ({
      type: 'float32',
      dims,
      data,
    });
    const feeds = {
      images: float([batch, ...imageDims], images),
      targets: float([batch, classes], targets),
      weights: float([weights.length], weights),
    };
    const answers = await runtime.run(session.handle, feeds, {}, { ...options, timeoutMs: passTimeoutMs });
    const floats = (name: string): Float32Array => answers[name]?.data as Float32Array;
    return {
      loss: floats('loss')[0] as number,
      probabilities: floats('probabilities'),
      gradient: floats('gradient'),
      parameters: session.parameters,
    };
  }

  async #sessionOf(architecture: Architecture, options: CallOptions): Promise<Session> {
    const { space, runtime, batch, threads, maxSessions } = this.#options;
    const id = architectureId(space.id, architecture);
    const known = this.#sessions.get(id);
    if (known) {
      this.#sessions.delete(id);
      this.#sessions.set(id, known);
      return known;
    }
    for (const [oldest, { handle }] of this.#sessions) {
      if (this.#sessions.size < maxSessions) break;
      this.#sessions.delete(oldest);
      await runtime.release(handle, options);
    }
    // The weights are an input of the graph: what the network is built with does not matter.
    const names = tensorsOf(space, architecture);
    const { graph, parameters, parameterCount } = trainingGraph(space.network(architecture), {
      batch,
      trainable: names.keys(),
    });
    const { handle } = await runtime.load(writeOnnx(graph), { threads, arena: false }, options);
    const session = { handle, parameters, parameterCount };
    this.#sessions.set(id, session);
    return session;
  }
}

/** A pass takes a second at most; a loaded machine may take longer. */
const passTimeoutMs = 600_000;

/** Adds a sub-network's gradient to the gradients of the shared tensors. */
export function addGradient(
  tensors: ReadonlyMap<string, NamedTensor>,
  { parameters, gradient }: Pick<Passed, 'parameters' | 'gradient'>,
): void {
  for (const { name, dims, offset } of parameters) {
    const part = gradient.subarray(offset, offset + elementCount(dims));
    addCut(tensors.get(name) as NamedTensor, dims, part);
  }
}

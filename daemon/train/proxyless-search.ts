import { drawIndex, gaussian } from '../core/rng.js';
import { writeOnnx } from '../network/write-onnx.js';
import type { SessionProcess } from '../runtime/session-process.js';
import type { MbconvFile } from '../search/spaces/mbconv/file.js';
import { listLayers } from '../search/spaces/mbconv/file.js';
import { type Batches, streamOf } from './batches.js';
import { trainingGraph } from './differentiation/training-graph.js';
import { gatedNetwork, gateName } from './mbconv-paths.js';
import type { CallOptions } from './network-trainer.js';
import {
  AlphaAdam,
  type Alphas,
  alphaGradient,
  combineLoss,
  drawPair,
  expectedLatency,
  type LatencyLoss,
  likeliest,
  meanEntropy,
  rescalePair,
  softmaxOf,
} from './path-binarisation.js';
import { oneHot } from './targets.js';
import type { SharedWeights } from './weights/shared-weights.js';

export interface ProxylessOptions {
  readonly file: MbconvFile;
  readonly weights: SharedWeights;
  readonly batches: Batches;
  readonly batch: number;
  readonly classes: number;
  readonly runtime: SessionProcess;
  /** Latency of each choice of each layer; `fixed` for stem and head. One unit for all, above 1 in total. */
  readonly table: { readonly fixed: number; readonly layers: readonly (readonly number[])[] };
  readonly loss: LatencyLoss;
  /** `two`: memory and time of two paths, a new graph a step; `full`: all paths side by side, one graph for the search. */
  readonly mode: 'two' | 'full';
  readonly steps: number;
  readonly rate: number;
  readonly seed: number;
  readonly threads?: number;
  readonly onStep?: (step: {
    readonly step: number;
    readonly loss: number;
    readonly latency: number;
    readonly entropy: number;
  }) => void;
}

export interface ProxylessResult {
  readonly alphas: Alphas;
  readonly architecture: readonly number[];
  /** Expected latency at the end, in the table's unit. */
  readonly latency: number;
}

/**
 * ProxylessNAS's gradient form on an MBConv space (Cai, Zhu and Han, ICLR 2019): architecture parameters descend the
 * task loss through binary gates plus the expected latency of a table. The weights are those of a trained super-network
 * and stay: where the authors alternate weight and architecture steps, one super-network serves every target here.
 */
export async function proxylessSearch(o: ProxylessOptions, call: CallOptions): Promise<ProxylessResult> {
  const layers = listLayers(o.file);
  const start = streamOf(o.seed, 'alphas', 0);
  let alphas: Alphas = layers.map(({ choices }) => choices.map(() => 1e-3 * gaussian(start)));
  const adam = new AlphaAdam(o.rate);
  const whole = layers.map(({ choices }) => choices.map((_, i) => i));
  let session: Gated | undefined;
  try {
    for (let step = 0; step < o.steps; step++) {
      const rng = streamOf(o.seed, 'paths', step);
      const pairs = o.mode === 'two' ? alphas.map((row) => drawPair(row, rng)) : undefined;
      const paths = pairs ? pairs.map((pair) => [...pair.choices]) : whole;
      const probabilities = pairs ? pairs.map((pair) => [...pair.q]) : alphas.map(softmaxOf);
      const active = pairs
        ? pairs.map((pair) => pair.active as number)
        : probabilities.map((p) => drawIndex(p, rng));
      if (session && o.mode === 'two') {
        await o.runtime.release(session.handle, call);
        session = undefined;
      }
      session ??= await openGated(o, paths, call);
      const { loss: taskLoss, gates } = await gatePass(o, session, paths, active, step, call);
      const expected = probabilities.map((p, l) =>
        expectedLatency(
          p,
          (paths[l] as number[]).map((choice) => o.table.layers[l]?.[choice] as number),
        ),
      );
      const latency = o.table.fixed + expected.reduce((sum, { value }) => sum + value, 0);
      const { loss, byTask, byLatency } = combineLoss(o.loss, taskLoss, latency);
      const gradients = probabilities.map((p, l): number[] | null => {
        const choice = (paths[l] as number[])[active[l] as number] as number;
        // A layer left out passes no gradient that could tell its paths apart (the authors' code skips it too).
        if (pairs && layers[l]?.choices[choice] === 'skip') return null;
        const task = alphaGradient(gates[l] as number[], p);
        const own = task.map(
          (g, i) =>
            byTask * g + byLatency * ((expected[l] as { gradient: readonly number[] }).gradient[i] as number),
        );
        const row = (layers[l]?.choices ?? []).map(() => 0);
        (paths[l] as number[]).forEach((path, i) => {
          row[path] = own[i] as number;
        });
        return row;
      });
      const next = adam.step(alphas, gradients);
      alphas = pairs
        ? next.map((row, l) =>
            gradients[l]
              ? rescalePair(
                  alphas[l] as number[],
                  row,
                  (pairs[l] as { choices: readonly [number, number] }).choices,
                )
              : row,
          )
        : next;
      o.onStep?.({ step, loss, latency, entropy: meanEntropy(alphas) });
    }
  } finally {
    if (session) await o.runtime.release(session.handle, call);
  }
  const latency =
    o.table.fixed +
    alphas.reduce(
      (sum, row, l) => sum + expectedLatency(softmaxOf(row), o.table.layers[l] as number[]).value,
      0,
    );
  return { alphas, architecture: likeliest(alphas), latency };
}

interface Gated {
  readonly handle: number;
  readonly parameters: readonly { readonly name: string; readonly offset: number }[];
  readonly parameterCount: number;
}

/** Only the gates are learnt: weights stand in the graph as constants. */
async function openGated(
  o: ProxylessOptions,
  paths: readonly (readonly number[])[],
  call: CallOptions,
): Promise<Gated> {
  const gates = paths.flatMap((choices, l) => choices.map((choice) => gateName(l, choice)));
  const source = {
    tensor: (name: string, dims: readonly number[]): Float32Array =>
      name.startsWith('gate.') ? new Float32Array(1) : o.weights.tensor(name, dims),
  };
  const network = gatedNetwork(o.file, paths, source);
  const { graph, parameters, parameterCount } = trainingGraph(network, { batch: o.batch, trainable: gates });
  const { handle } = await o.runtime.load(writeOnnx(graph), { threads: o.threads ?? 1, arena: false }, call);
  return { handle, parameters, parameterCount };
}

/** Loss and the gradient of every gate, with one gate of a layer open: the binary gates of equation 3. */
async function gatePass(
  o: ProxylessOptions,
  session: Gated,
  paths: readonly (readonly number[])[],
  active: readonly number[],
  step: number,
  call: CallOptions,
): Promise<{ readonly loss: number; readonly gates: readonly (readonly number[])[] }> {
  const { images, labels } = o.batches.at(step);
  const offsets = new Map(session.parameters.map(({ name, offset }) => [name, offset]));
  const at = (l: number, choice: number): number => offsets.get(gateName(l, choice)) as number;
  const gates = new Float32Array(session.parameterCount);
  paths.forEach((choices, l) => {
    gates[at(l, choices[active[l] as number] as number)] = 1;
  });
  const float = (dims: readonly number[], data: Float32Array) => ({ type: 'float32' as const, dims, data });
  const answers = await o.runtime.run(
    session.handle,
    {
      images: float([o.batch, ...o.file.input], images),
      targets: float([o.batch, o.classes], oneHot(labels, o.classes, 0)),
      weights: float([gates.length], gates),
    },
    {},
    { ...call, timeoutMs: 600_000 },
  );
  const [loss, gradient] = [answers.loss?.data, answers.gradient?.data] as [Float32Array, Float32Array];
  return {
    loss: loss[0] as number,
    gates: paths.map((choices, l) => choices.map((choice) => gradient[at(l, choice)] as number)),
  };
}

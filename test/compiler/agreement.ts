import { gaussian, type Rng } from '../../daemon/core/rng.js';
import type { Tensors } from '../../daemon/devices/contract.js';
import { allFromBoard, allToBoard } from '../../daemon/devices/mcu/int8-tensors.js';
import { elementCount, type Graph } from '../../daemon/network/graph.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import type { RuntimeTensors } from '../../daemon/runtime/messages.js';
import type { SessionProcess } from '../../daemon/runtime/session-process.js';
import { valueRanges } from '../../daemon/runtime/value-ranges.js';
import { type CompiledNetwork, type CompilerBoard, compile } from '../../firmware-bridge/compiler/index.js';
import type { ProgramCase } from '../firmware/program-case.js';
import { answer, compiledCase } from './compiled-case.js';

const { signal } = new AbortController();
export const board: CompilerBoard = {
  weightLayout: 'scalar',
  arenaBytes: 2 ** 20,
  flashBytes: 2 ** 22,
  weightsAt: 'flash',
  poolBytes: 65_536,
  fetchesInput: true,
};

/** Values for every input of a network, each element from `draw`. */
export function drawn(graph: Graph, rng: Rng, draw: (rng: Rng) => number = gaussian): Tensors {
  return Object.fromEntries(
    graph.inputs.map(({ name, dims }) => {
      const sizes = dims as number[];
      return [
        name,
        { dims: sizes, data: Float32Array.from({ length: elementCount(sizes) }, () => draw(rng)) },
      ];
    }),
  );
}

const feed = (tensors: Tensors): RuntimeTensors =>
  Object.fromEntries(
    Object.entries(tensors).map(([name, { dims, data }]) => [name, { type: 'float32' as const, dims, data }]),
  );

export interface Agreement {
  /** The furthest that an output of the board lies from onnxruntime's, in steps of that output. */
  readonly steps: number;
  /** Cosine between all outputs of the board and onnxruntime's. */
  readonly cosine: number;
  readonly compiled: CompiledNetwork;
  /** For the C runtime: with and without the planner's tricks. */
  readonly cases: readonly ProgramCase[];
}

/**
 * What a board answers against what onnxruntime does, on inputs that int8 holds exactly: those given, rounded to its steps,
 * after they calibrated the network. Beyond the calibrated range of an output its end is what is wanted.
 */
export async function agreement(
  name: string,
  graph: Graph,
  inputs: readonly Tensors[],
  runtime: SessionProcess,
): Promise<Agreement> {
  const calibration = (g: Graph, values: readonly string[]) =>
    valueRanges(g, values, inputs.map(feed), runtime, { signal });
  const [plain, small] = (await Promise.all([
    compile(graph, { board, weights: 'real', calibration, tricks: 'none' }),
    compile(graph, { board, weights: 'real', calibration, tricks: 'all', goal: 'smallest' }),
  ])) as [CompiledNetwork, CompiledNetwork];
  const { handle } = await runtime.load(writeOnnx(graph), { optimisation: 'disabled' }, { signal });
  let [steps, dot, ours, theirs] = [0, 0, 0, 0];
  const cases: ProgramCase[] = [];
  for (const [i, tensors] of inputs.entries()) {
    const bytes = allToBoard(tensors, plain.inputs);
    const wanted = await runtime.run(handle, feed(allFromBoard(bytes, plain.inputs)), {}, { signal });
    const given = answer(plain, bytes);
    if (!answer(small, bytes).every((value, at) => value === given[at]))
      throw new Error(`${name}: the planner changed the result`);
    const outputs = allFromBoard(given, plain.outputs);
    for (const port of plain.outputs) {
      const { scale, zeroPoint } = port.quantisation;
      const [low, high] = [scale * (-128 - zeroPoint), scale * (127 - zeroPoint)];
      outputs[port.name]?.data.forEach((value, at) => {
        const float = Math.min(high, Math.max(low, Number(wanted[port.name]?.data[at])));
        steps = Math.max(steps, Math.abs(value - float) / scale);
        dot += value * float;
        ours += value * value;
        theirs += float * float;
      });
    }
    if (i > 0) continue;
    cases.push(compiledCase(`${name}, plain`, plain, bytes), compiledCase(`${name}, smallest`, small, bytes));
  }
  await runtime.release(handle, { signal });
  return { steps, cosine: dot / Math.sqrt(ours * theirs || 1), compiled: plain, cases };
}

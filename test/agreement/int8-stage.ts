import { Xoshiro128 } from '../../daemon/core/rng.js';
import { allFromBoard, allToBoard } from '../../daemon/devices/mcu/int8-tensors.js';
import type { Graph } from '../../daemon/network/graph.js';
import { readOnnx } from '../../daemon/network/read-onnx.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import type { RuntimeTensors } from '../../daemon/runtime/messages.js';
import type { SessionProcess } from '../../daemon/runtime/session-process.js';
import { valueRanges } from '../../daemon/runtime/value-ranges.js';
import {
  type CompiledNetwork,
  type CompilerBoard,
  compile,
  Reference,
} from '../../firmware-bridge/compiler/index.js';
import { randomInput } from '../compiler/compiled-case.js';
import { envelopes, outside } from './envelope.js';
import { closed, constantChoices } from './graph-stages.js';
import { feeds, type OnnxCase } from './onnx-cases.js';
import { type Given, numbers } from './onnxruntime.js';
import { judged, ok, skipped, type Verdict, wrong } from './verdict.js';

/** Room enough for anything, and kernels that run on any core. */
export const roomyBoard: CompilerBoard = {
  weightLayout: 'rows',
  arenaBytes: 2 ** 26,
  flashBytes: 2 ** 28,
  weightsAt: 'flash',
  poolBytes: 0,
  fetchesInput: false,
};

/** A compiled network with an input and the reference's answer, for the C to be held against. */
export interface Int8Run {
  readonly compiled: CompiledNetwork;
  readonly input: Int8Array;
  readonly output: Int8Array;
}

export interface Int8Outcome {
  readonly verdict: Verdict;
  readonly run?: Int8Run;
}

/** Each way to feed a test that a board can take, against the stored outputs. */
export async function int8Stage(test: OnnxCase, runtime: SessionProcess): Promise<Int8Outcome[]> {
  const given = feeds(test);
  if (!given || [...test.outputs.values()].some((value) => value === null))
    return [{ verdict: skipped('a value is no tensor that a board could hold') }];
  const outcomes: Int8Outcome[] = [];
  for (const constant of constantChoices(test)) {
    let run: Int8Run | undefined;
    const verdict = await judged(async () => {
      const graph = closed(readOnnx(test.bytes), test.inputs, constant);
      const free = Object.fromEntries(Object.entries(given).filter(([name]) => !constant.has(name)));
      const answer = await int8Answer(graph, free, runtime);
      run = answer.run;
      return compareOutputs(test.outputs as ReadonlyMap<string, Given>, writeOnnx(graph), free, answer);
    });
    outcomes.push({ verdict, ...(run && { run }) });
  }
  return outcomes;
}

export interface Int8Answer {
  readonly run: Int8Run;
  readonly outputs: ReturnType<typeof allFromBoard>;
}

/** Compiles for a board with the input as its own calibration, and runs the integer reference. */
export async function int8Answer(
  graph: Graph,
  given: Readonly<Record<string, Given>>,
  runtime: SessionProcess,
): Promise<Int8Answer> {
  const { signal } = new AbortController();
  const compiled = await compile(graph, {
    board: roomyBoard,
    weights: 'real',
    calibration: (network, values, channels) =>
      valueRanges(network, values, [given as RuntimeTensors], runtime, { signal, channels }),
  });
  const tensors = Object.fromEntries(
    Object.entries(given).map(([name, tensor]) => [
      name,
      { dims: tensor.dims, data: Float32Array.from(numbers(tensor)) },
    ]),
  );
  const input = allToBoard(tensors, compiled.inputs);
  const reference = new Reference(compiled.program);
  reference.arena.set(randomInput(Xoshiro128.fromSeed(9), reference.arena.length));
  const output = reference.run(input);
  return { run: { compiled, input, output }, outputs: allFromBoard(output, compiled.outputs) };
}

/** Every output, in the model's own shape, within what 8 bits do to this network. */
export async function compareOutputs(
  stored: ReadonlyMap<string, Given>,
  model: Uint8Array,
  given: Readonly<Record<string, Given>>,
  { run, outputs }: Int8Answer,
): Promise<Verdict> {
  const allowed = await envelopes(model, given);
  for (const [name, value] of stored) {
    const found = outputs[name];
    const port = run.compiled.outputs.find((output) => output.name === name);
    if (!found || !port) return wrong(`the output ${name} is missing`);
    if (found.dims.join() !== value.dims.join())
      return wrong(`${name} has the shape [${found.dims}], it is [${value.dims}]`);
    const exact = numbers(value);
    const peak = exact.filter(Number.isFinite).reduce((a, b) => Math.max(a, Math.abs(b)), 0);
    const envelope = allowed?.get(name);
    // Where onnxruntime cannot run the model, there is no envelope: 4 % of the largest value.
    const bounds = envelope
      ? { ...envelope, exact }
      : { exact, low: exact, high: exact.map((at) => at + 0.04 * peak), isInteger: false };
    const why = outside(bounds, found.data, port.quantisation.scale);
    if (why) return wrong(`${name}: ${why}`);
  }
  return ok;
}

import type { Rng } from '../../../daemon/core/rng.js';
import type { Graph } from '../../../daemon/network/graph.js';
import { modelBytes } from '../../../daemon/network/model-source.js';
import { readModelFile } from '../../../daemon/network/read-model-file.js';
import type { SessionProcess } from '../../../daemon/runtime/session-process.js';
import { type Field, type OperatorSpec, oneOperator, type TensorSpec } from './write-tflite.js';

const arrays = {
  float32: Float32Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  int32: Int32Array,
  bool: Uint8Array,
} as const;

export interface Output {
  readonly dims: readonly number[];
  readonly type: string;
  readonly values: readonly number[];
}

/** Runs a converted file on onnxruntime; feeds and answers in the order of the file. */
export async function runConverted(
  runtime: SessionProcess,
  bytes: Uint8Array,
  feeds: readonly (readonly number[])[],
): Promise<{ readonly graph: Graph; readonly outputs: readonly Output[] }> {
  const graph = readModelFile(bytes);
  const { signal } = new AbortController();
  const { handle } = await runtime.load(modelBytes(graph), { arena: false }, { signal });
  const given = Object.fromEntries(
    graph.inputs.map(({ name, dtype, dims }, i) => [
      name,
      {
        type: dtype as 'float32',
        dims: dims as number[],
        data: arrays[dtype as keyof typeof arrays].from(feeds[i] ?? []) as Float32Array,
      },
    ]),
  );
  const made = await runtime.run(handle, given, {}, { signal });
  await runtime.release(handle, { signal });
  const outputs = graph.outputs.map(({ name }) => {
    const { dims, type, data } = made[name] as (typeof made)[string];
    return { dims, type, values: Array.from(data as ArrayLike<number>, Number) };
  });
  return { graph, outputs };
}

/** One operator of a file, run: what it gives. */
export async function runOne(
  runtime: SessionProcess,
  op: string,
  spec: {
    readonly inputs: readonly TensorSpec[];
    readonly outputs: readonly TensorSpec[];
    readonly options?: OperatorSpec['options'];
    readonly version?: number;
  },
  feeds: readonly (readonly number[])[],
): Promise<readonly Output[]> {
  return (await runConverted(runtime, oneOperator(op, spec), feeds)).outputs;
}

export const options = (type: string, ...fields: readonly Field[]) => ({ type, fields });
export const byte = (value: number): Field => ['byte', value];
export const int = (value: number): Field => ['int', value];
export const real = (value: number): Field => ['float', value];
export const constant = (dims: readonly number[], data: readonly number[], type = 'float32'): TensorSpec => ({
  dims,
  data,
  type,
});
export const ints = (...data: readonly number[]): TensorSpec => constant([data.length], data, 'int32');

export const count = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);
export const ramp = (dims: readonly number[], from = 0): number[] =>
  Array.from({ length: count(dims) }, (_, i) => from + i);
export const drawn = (rng: Rng, dims: readonly number[], low = -2, high = 2): number[] =>
  Array.from({ length: count(dims) }, () => Math.fround(low + rng.next() * (high - low)));

/** The greatest difference, in parts of 1 + the value. */
export const furthest = (given: readonly number[], wanted: readonly number[]): number =>
  given.length === wanted.length
    ? wanted.reduce((most, value, i) => {
        const off = Math.abs((given[i] as number) - value) / (1 + Math.abs(value));
        return off <= most ? most : off;
      }, 0)
    : Number.POSITIVE_INFINITY;

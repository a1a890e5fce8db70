import type { CompiledNetwork } from './compile.js';
import { positionsOf } from './lower/port-layout.js';
import { quantise } from './quantise/quantisation.js';
import { Reference } from './reference/reference.js';

/** The bytes a board takes for a real-valued input given row-major, as the network's dimensions say. */
export function quantisedInput({ input }: Pick<CompiledNetwork, 'input'>, values: Float32Array): Int8Array {
  const at = positionsOf(input);
  const bytes = new Int8Array(values.length);
  for (let i = 0; i < values.length; i++) bytes[at(i)] = quantise(values[i] as number, input.quantisation);
  return bytes;
}

/** What classification needs of a compiled network; plain data, so that it may cross to another thread. */
export type Classifier = Pick<CompiledNetwork, 'program' | 'input'>;

/**
 * The class a compiled classifier answers for each of `count` examples, by the integer reference: what a board answers,
 * bit for bit, not the float network. `values` holds the examples one behind the other.
 */
export function classesOf(compiled: Classifier, values: Float32Array, count: number): Uint16Array {
  const reference = new Reference(compiled.program);
  const size = values.length / count;
  return Uint16Array.from({ length: count }, (_, i) => {
    const output = reference.run(quantisedInput(compiled, values.subarray(i * size, (i + 1) * size)));
    return output.indexOf(Math.max(...output));
  });
}

/** How many examples a compiled classifier gets right. */
export function countRight(compiled: Classifier, values: Float32Array, labels: ArrayLike<number>): number {
  const classes = classesOf(compiled, values, labels.length);
  return classes.reduce((right, answer, i) => right + (answer === labels[i] ? 1 : 0), 0);
}

import type { CompiledNetwork } from './compile.js';
import { quantise } from './quantise/quantisation.js';
import { Reference } from './reference/reference.js';

/** The bytes a board takes for a real-valued input given row-major, as the network's dimensions say. */
export function quantisedInput({ input }: Pick<CompiledNetwork, 'input'>, values: Float32Array): Int8Array {
  const { dims, layout, quantisation } = input;
  if (layout === 'row-major') return Int8Array.from(values, (value) => quantise(value, quantisation));
  const [, channels, height, width] = dims as [number, number, number, number];
  const area = height * width;
  return Int8Array.from({ length: values.length }, (_, i) =>
    quantise(values[(i % channels) * area + Math.floor(i / channels)] as number, quantisation),
  );
}

/**
 * How many examples a compiled classifier gets right, by the integer reference: the accuracy of the network that a board
 * runs, not of the float one. `values` holds the examples one behind the other.
 */
export function countRight(
  compiled: CompiledNetwork,
  values: Float32Array,
  labels: ArrayLike<number>,
): number {
  const reference = new Reference(compiled.program);
  const size = values.length / labels.length;
  let right = 0;
  for (let i = 0; i < labels.length; i++) {
    const output = reference.run(quantisedInput(compiled, values.subarray(i * size, (i + 1) * size)));
    if (output.indexOf(Math.max(...output)) === labels[i]) right++;
  }
  return right;
}

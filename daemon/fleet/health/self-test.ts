import { Xoshiro128 } from '../../core/rng.js';
import type { Target } from '../../core/target.js';
import { referenceNetworks } from '../../measure/references.js';
import type { Tensors } from '../../runtime/tensors.js';

/**
 * Shares of the largest number by which an answer may differ. Weights of any one convolution that are off by a quarter change it by
 * 0.0011 and more; the reduced precision of a GPU's float32 changes it by less. Null: a device of this type is not asked.
 */
const tolerances = { float32: 5e-4, float16: 0.01, int8: null } as const satisfies Record<
  Target['dtype'],
  number | null
>;

export const canSelfTest = ({ dtype }: Target): boolean => tolerances[dtype] !== null;

/**
 * What the convolution reference answers to `selfTestInputs`, by onnxruntime 1.30 on a CPU. They must change with the network
 * alone; a test holds them.
 */
const expected: readonly number[] = [
  -0.4236321, 0.1136186, -0.09630582, 0.04622666, -0.6594526, 0.7007937, -0.09141546, 0.1507742, 0.7930566,
  -0.5799145,
];

/** The input of the self test, always the same: large, so that biases do not hide what kernels do. */
export function selfTestInputs(): Tensors {
  const [input] = referenceNetworks().convolution.inputs;
  if (!input) throw new Error('the reference has an input');
  const dims = input.dims.map(Number);
  const rng = Xoshiro128.fromSeed(11);
  const data = Float32Array.from(
    { length: dims.reduce((n, dim) => n * dim, 1) },
    () => 200 * rng.next() - 100,
  );
  return { [input.name]: { dims, data } };
}

/** What is wrong with a device's answer to the self test, in one sentence; null where nothing is. */
export function judgeSelfTest(outputs: Tensors, { dtype }: Pick<Target, 'dtype'>): string | null {
  const tolerance = tolerances[dtype] ?? Number.POSITIVE_INFINITY;
  const [output] = Object.values(outputs);
  const { length } = expected;
  if (output?.data.length !== length) return `it answers ${output?.data.length ?? 0} numbers, not ${length}`;
  const largest = Math.max(...expected.map(Math.abs));
  for (const [i, right] of expected.entries()) {
    const got = output.data[i] as number;
    // Written so that no number fails the test, too.
    if (!(Math.abs(got - right) <= tolerance * largest))
      return `number ${i} of its answer is ${got.toPrecision(4)}, not ${right.toPrecision(4)}`;
  }
  return null;
}

import { HildaError } from '../../core/errors.js';
import type { CalibrationExamples } from '../../runtime/example-ranges.js';
import type { Examples, Tensors } from '../contract.js';
import { packTensors } from './tensor-bytes.js';

/**
 * What `classify` sends: two sets of one tensor each, `examples` and `calibration`, both [count, elements of one
 * example]. The same for every network of a study, so its bytes cross the link once.
 */
export const packExamples = ({ values, count, calibration }: Examples): Uint8Array => {
  const rows = (name: string, data: Float32Array, n: number): Tensors => ({
    [name]: { dims: [n, data.length / n], data },
  });
  return packTensors([
    rows('examples', values, count),
    rows('calibration', calibration.values, calibration.count),
  ]);
};

/** Throws MESSAGE_INVALID for tensors that `packExamples` did not make. */
export function examplesOf(
  sets: readonly Tensors[],
  batch: number,
): Pick<Examples, 'values' | 'count'> & { readonly calibration: CalibrationExamples } {
  const [given, shown] = [sets[0]?.examples, sets[1]?.calibration];
  const isTable = (tensor: Tensors[string] | undefined): tensor is Tensors[string] =>
    tensor?.dims.length === 2 && tensor.data.length > 0;
  if (sets.length !== 2 || !isTable(given) || !isTable(shown))
    throw new HildaError('MESSAGE_INVALID', 'classification needs examples and those to calibrate on');
  return {
    values: given.data,
    count: given.dims[0] as number,
    calibration: { values: shown.data, count: shown.dims[0] as number, batch },
  };
}

/** Classes as a tensor: whole numbers below 2^16, which float32 holds exactly. */
export const packClasses = (classes: Uint16Array): Tensors => ({
  classes: { dims: [classes.length], data: Float32Array.from(classes) },
});

/** Throws MESSAGE_INVALID for anything but `count` classes. */
export function classesOf(outputs: Tensors, count: number): Uint16Array {
  const data = outputs.classes?.data ?? [];
  const classes = Uint16Array.from(data);
  if (classes.length !== count || classes.some((value, i) => value !== data[i]))
    throw new HildaError('MESSAGE_INVALID', `the agent sent no ${count} classes`);
  return classes;
}

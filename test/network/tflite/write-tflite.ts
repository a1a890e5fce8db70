import {
  type Field,
  type ModelSpec,
  type OperatorSpec,
  type TensorSpec,
  writeTflite,
} from '../../../daemon/network/tflite/write-tflite.js';

export { type Field, type ModelSpec, type OperatorSpec, type TensorSpec, writeTflite };

/** Stands for an optional input that is left out. */
export const leftOut: TensorSpec = { dims: [0], data: new Uint8Array() };

/** A model of one operator: `given` are fed, then come constants, then what the operator makes. */
export function oneOperator(
  op: string,
  {
    inputs,
    outputs,
    options,
    version = 1,
  }: {
    readonly inputs: readonly TensorSpec[];
    readonly outputs: readonly TensorSpec[];
    readonly options?: OperatorSpec['options'];
    readonly version?: number;
  },
): Uint8Array {
  const tensors = [...inputs, ...outputs];
  const fed = inputs.flatMap(({ data, variable }, i) => (data || variable ? [] : [i]));
  const made = outputs.map((_, i) => inputs.length + i);
  return writeTflite({
    tensors,
    operators: [
      {
        op,
        version,
        inputs: inputs.map((input, i) => (input === leftOut ? -1 : i)),
        outputs: made,
        ...(options && { options }),
      },
    ],
    inputs: fed,
    outputs: made,
  });
}

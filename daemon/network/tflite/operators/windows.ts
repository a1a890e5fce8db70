import type { Step } from '../step.js';

/** Where a window moves along one axis, as TensorFlow Lite counts: odd padding stands at the end. */
export interface Window {
  readonly size: number;
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
}

const names = ['SAME', 'VALID'];

/** Padding before and behind an axis; `padding` is the code of the schema. */
export function paddingOf(
  step: Step,
  padding: number,
  { size, kernel, stride, dilation }: Window,
): [number, number] {
  const name = names[padding] ?? step.refuse(`the padding ${padding} is not supported`);
  const reach = (kernel - 1) * dilation + 1;
  if (name === 'VALID') {
    if (reach > size) step.invalid(`a window of ${reach} does not fit ${size}`);
    return [0, 0];
  }
  const out = Math.ceil(size / stride);
  const total = Math.max(0, (out - 1) * stride + reach - size);
  return [Math.floor(total / 2), Math.ceil(total / 2)];
}

/** ONNX's order of pads: all beginnings, then all ends. */
export const padsOf = (sides: readonly (readonly [number, number])[]): number[] => [
  ...sides.map(([before]) => before),
  ...sides.map(([, behind]) => behind),
];

export const toChannelsFirst = [0, 3, 1, 2];
export const toChannelsLast = [0, 2, 3, 1];

/** Height, width and channels of a rank 4 tensor, channels last. */
export function spatial(step: Step, input: number): readonly [number, number, number, number] {
  const dims = step.dims(input);
  if (dims.length !== 4) step.refuse(`input ${input} has the rank ${dims.length}, not 4`);
  return dims as unknown as readonly [number, number, number, number];
}

export function positive(step: Step, what: string, ...values: readonly number[]): void {
  if (values.some((value) => value < 1)) step.invalid(`${what} is ${values}`);
}

import type { Tensor } from '../../graph.js';
import { isQuantised } from '../conversion.js';
import type { Step } from '../step.js';

const doubles = (values: readonly number[]): Tensor => ({
  dtype: 'float64',
  dims: [],
  data: new Uint8Array(Float64Array.from(values).buffer),
});

/**
 * From 8 or 16 bits to 32 bits of another scale, integer for integer: TensorFlow Lite multiplies by 31 bits of the scales'
 * quotient and rounds halves up, then shifts and rounds halves away from zero (`MultiplyByQuantizedMultiplier`). All of it
 * is exact in double precision.
 */
export function requantiseWide(step: Step): void {
  const [from, to] = [step.input(0), step.output()];
  if (!isQuantised(from)) step.refuse(`an input of ${from.type} for an output of int32 is not supported`);
  const one = (values: readonly number[] | undefined, what: string): number =>
    values?.length === 1 ? (values[0] as number) : step.refuse(`${what} by channel are not supported`);
  const [scale, zero] = [
    one(from.quantisation?.scales, 'scales'),
    one(from.quantisation?.zeroPoints, 'scales'),
  ];
  const [wanted, offset] = [
    one(to.quantisation?.scales, 'scales'),
    one(to.quantisation?.zeroPoints, 'scales'),
  ];
  const quotient = scale / wanted;
  if (!(quotient > 0 && quotient < 2 ** 16 && quotient > 2 ** -31))
    step.refuse(`a scale of ${scale} to one of ${wanted} is not supported`);
  const exponent = Math.floor(Math.log2(quotient)) + 1;
  const multiplier = Math.round((quotient / 2 ** exponent) * 2 ** 31);
  const constant = (value: number): string => step.conversion.constant(doubles([value]));
  const halfUp = (value: string): string => step.emit('Floor', [step.emit('Add', [value, constant(0.5)])]);
  const centred = step.emit('Sub', [step.cast(step.stored(0), 'float64'), constant(zero)]);
  const factor = constant((multiplier / 2 ** 31) * 2 ** Math.max(0, exponent));
  const product = halfUp(step.emit('Mul', [centred, factor]));
  const shifted = exponent < 0 ? step.emit('Mul', [product, constant(2 ** exponent)]) : product;
  const rounded =
    exponent < 0
      ? step.emit('Mul', [step.emit('Sign', [shifted]), halfUp(step.emit('Abs', [shifted]))])
      : shifted;
  step.give(step.cast(step.emit('Add', [rounded, constant(offset)]), 'int32'));
}

import { typeAttribute } from './elementwise.js';
import { type Rule, rules } from './rule.js';

/** Between floats and integers with a scale. */

/** The type is the zero point's, or the one that `output_dtype` (from opset 21) names. */
const quantize: Rule = (input) => {
  const named = input.has(2) ? input.shape(2).dtype : 'uint8';
  const dtype = input.opset >= 21 && !input.has(2) ? typeAttribute(input, 'output_dtype', named) : named;
  return [{ dtype, dims: input.shape(0).dims }];
};

/** The type is the scale's, or the one that `output_dtype` (from opset 23) names. */
export const dequantize: Rule = (input) => {
  const named = input.shape(1).dtype;
  const dtype = input.opset >= 23 ? typeAttribute(input, 'output_dtype', named) : named;
  return [{ dtype, dims: input.shape(0).dims }];
};

const dynamicQuantize: Rule = (input) => [
  { dtype: 'uint8', dims: input.shape(0).dims },
  { dtype: 'float32', dims: [] },
  { dtype: 'uint8', dims: [] },
];

export const quantisedRules = [
  ...rules(10, 'QuantizeLinear', quantize),
  ...rules(10, 'DequantizeLinear', dequantize),
  ...rules(11, 'DynamicQuantizeLinear', dynamicQuantize),
];

import { type DType, elementCount } from '../graph.js';
import { numbersOf } from '../tensor-numbers.js';
import { isFew, isIntegerType, withElements, withMoved } from './elements.js';
import { typeAttribute } from './elementwise.js';
import {
  intAttribute,
  intsAttribute,
  invalid,
  isTensor,
  known,
  ownAttribute,
  type Rule,
  type RuleInput,
  type RuleOutput,
  rules,
  unsupported,
} from './rule.js';

/** Operators that make values from nothing but sizes: constants, shapes, ranges, random numbers, windows. */

/** `start` and `end` (from opset 15) cut the list as a slice does. */
const shape: Rule = (input) => {
  const { dims } = input.shape(0);
  const bounded = input.opset >= 15;
  const constant = dims.slice(
    bounded ? intAttribute(input.node, 'start', 0) : 0,
    bounded ? intAttribute(input.node, 'end', dims.length) : dims.length,
  );
  return [{ dtype: 'int64', dims: [constant.length], constant }];
};

const size: Rule = (input) => [
  withElements({ dtype: 'int64', dims: [] }, [elementCount(input.shape(0).dims)]),
];

const constant: Rule = (input) => {
  const of = (name: string): unknown => ownAttribute(input.node, name);
  const value = ownAttribute(input.node, 'value');
  if (isTensor(value)) return [withMoved({ dtype: value.dtype, dims: value.dims }, numbersOf(value))];
  const list = (name: string, dtype: DType): RuleOutput[] | undefined => {
    const values = of(name);
    if (!Array.isArray(values)) return undefined;
    const numbers = dtype === 'string' || !isFew([values.length]) ? undefined : (values as number[]);
    return [withElements({ dtype, dims: [values.length] }, numbers)];
  };
  const [int, float] = [of('value_int'), of('value_float')];
  if (typeof int === 'number') return [withElements({ dtype: 'int64', dims: [] }, [int])];
  if (typeof float === 'number') return [withElements({ dtype: 'float32', dims: [] }, [float])];
  if (typeof of('value_string') === 'string') return [{ dtype: 'string', dims: [] }];
  const listed =
    list('value_ints', 'int64') ?? list('value_floats', 'float32') ?? list('value_strings', 'string');
  if (listed) return listed;
  if (of('sparse_value') !== undefined) throw unsupported(input, 'sparse_value is not supported');
  throw invalid(input, 'holds no value');
};

const constantOfShape: Rule = (input) => {
  const value = ownAttribute(input.node, 'value');
  const dims = known(input, 0, 'sizes (its input 0)');
  const [dtype, element]: [DType, number | undefined] = isTensor(value)
    ? [value.dtype, numbersOf(value)?.[0]]
    : ['float32', 0];
  if (dims.some((d) => d < 0)) throw invalid(input, `its output would have the shape [${dims}]`);
  return [
    withMoved(
      { dtype, dims },
      element === undefined || !isFew(dims) ? undefined : Array(elementCount(dims)).fill(element),
    ),
  ];
};

/** The last element stays below the limit. Floats are counted in their own precision, as runtimes do. */
const range: Rule = (input) => {
  const { dtype } = input.shape(0);
  const [start, limit, delta] = [0, 1, 2].map((i) => known(input, i, 'start, limit and delta')[0]) as [
    number,
    number,
    number,
  ];
  if (delta === 0) throw invalid(input, 'delta is 0');
  const difference = dtype === 'float32' ? Math.fround(limit - start) : limit - start;
  const count = Math.max(0, Math.ceil(difference / delta));
  const dims = [count];
  const counted = isIntegerType(dtype) && isFew(dims);
  return [
    withElements(
      { dtype, dims },
      counted ? Array.from({ length: count }, (_, i) => start + i * delta) : undefined,
    ),
  ];
};

const eyeLike: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  if (dims.length !== 2) throw invalid(input, `[${dims}] is no matrix`);
  return [{ dtype: typeAttribute(input, 'dtype', dtype), dims }];
};

const random: Rule = (input) => {
  const dims = intsAttribute(input.node, 'shape');
  if (!dims) throw invalid(input, 'the attribute shape is missing');
  return [{ dtype: typeAttribute(input, 'dtype', 'float32'), dims }];
};

const randomLike: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  return [{ dtype: typeAttribute(input, 'dtype', dtype), dims }];
};

const multinomial: Rule = (input) => {
  const { dims } = input.shape(0);
  if (dims.length !== 2) throw invalid(input, `[${dims}] is no matrix`);
  const drawn = intAttribute(input.node, 'sample_size', 1);
  return [{ dtype: typeAttribute(input, 'dtype', 'int32'), dims: [dims[0] as number, drawn] }];
};

const single = (input: RuleInput, i: number, what: string): number => {
  const [value, ...more] = known(input, i, what);
  if (value === undefined || more.length > 0) throw invalid(input, `${what} must be one number`);
  return value;
};

const window: Rule = (input) => [
  { dtype: typeAttribute(input, 'output_datatype', 'float32'), dims: [single(input, 0, 'size')] },
];

const melWeights: Rule = (input) => {
  const [bins, length] = [single(input, 0, 'num_mel_bins'), single(input, 1, 'dft_length')];
  return [
    { dtype: typeAttribute(input, 'output_datatype', 'float32'), dims: [Math.floor(length / 2) + 1, bins] },
  ];
};

export const generatorRules = [
  ...rules(1, 'Shape', shape),
  ...rules(1, 'Size', size),
  ...rules(1, 'Constant', constant),
  ...rules(9, 'ConstantOfShape', constantOfShape),
  ...rules(11, 'Range', range),
  ...rules(9, 'EyeLike', eyeLike),
  ...rules(1, 'RandomNormal RandomUniform', random),
  ...rules(1, 'RandomNormalLike RandomUniformLike', randomLike),
  ...rules(15, 'Bernoulli', randomLike),
  ...rules(7, 'Multinomial', multinomial),
  ...rules(17, 'BlackmanWindow HammingWindow HannWindow', window),
  ...rules(17, 'MelWeightMatrix', melWeights),
];

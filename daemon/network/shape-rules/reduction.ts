import { elementCount } from '../graph.js';
import { isIntegerType, mapIndices, stridesOf, withElements } from './elements.js';
import {
  attributeSince,
  axisOf,
  intAttribute,
  invalid,
  known,
  movedInts,
  type Rule,
  type RuleInput,
  rules,
} from './rule.js';

/** Operators that fold axes into one element, or count along one. */

/** Axes are an attribute up to opset 17 (ReduceSum: 12) and an input from then on; none means all. */
const reduce: Rule = (input) => {
  const { node } = input;
  const x = input.shape(0);
  const since = node.op === 'ReduceSum' ? 13 : 18;
  attributeSince(input, 'noop_with_empty_axes', since);
  const given = movedInts(input, 'axes', 1, since);
  const all = !given || given.length === 0;
  if (all && intAttribute(node, 'noop_with_empty_axes', 0) === 1) return [{ dtype: x.dtype, dims: x.dims }];
  const axes = new Set(
    all ? x.dims.map((_, i) => i) : given.map((axis) => axisOf(input, axis, x.dims.length)),
  );
  const keep = intAttribute(node, 'keepdims', 1) === 1;
  const full = x.dims.map((size, i) => (axes.has(i) ? 1 : size));
  const dims = full.filter((_, i) => keep || !axes.has(i));
  return [withElements({ dtype: x.dtype, dims }, folded(input, full))];
};

/** Elements of a reduction of a constant; sums and products of floats depend on their order and are left out. */
function folded(input: RuleInput, full: readonly number[]): (number | undefined)[] | undefined {
  const { dtype, dims } = input.shape(0);
  const values = input.constant(0);
  const fold = new Map<string, (a: number, b: number) => number>([
    ['ReduceMax', Math.max],
    ['ReduceMin', Math.min],
    ...(isIntegerType(dtype)
      ? ([
          ['ReduceSum', (a: number, b: number) => a + b],
          ['ReduceProd', (a: number, b: number) => a * b],
        ] as const)
      : []),
  ]).get(input.node.op);
  if (!values || !fold || values.length === 0) return undefined;
  const strides = stridesOf(full);
  const result: (number | undefined)[] = Array(elementCount(full)).fill(undefined);
  mapIndices(dims, (index) => index)?.forEach((index, i) => {
    const at = index.reduce(
      (sum, p, axis) => sum + (full[axis] === 1 ? 0 : p * (strides[axis] as number)),
      0,
    );
    const before = result[at];
    result[at] = before === undefined ? values[i] : fold(before, values[i] as number);
  });
  return result;
}

const argument: Rule = (input) => {
  attributeSince(input, 'select_last_index', 12);
  const { dims } = input.shape(0);
  const axis = axisOf(input, intAttribute(input.node, 'axis', 0), dims.length);
  const keep = intAttribute(input.node, 'keepdims', 1) === 1;
  return [
    {
      dtype: 'int64',
      dims: dims.map((size, i) => (i === axis ? 1 : size)).filter((_, i) => keep || i !== axis),
    },
  ];
};

const running: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  return [{ dtype, dims }];
};

/** `k` is an attribute before opset 10. */
const topK: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  const axis = axisOf(input, intAttribute(input.node, 'axis', -1), dims.length);
  const k = input.opset < 10 ? intAttribute(input.node, 'k', -1) : (known(input, 1, 'k')[0] ?? -1);
  if (k < 0 || k > (dims[axis] as number)) throw invalid(input, `k is ${k}, the axis has ${dims[axis]}`);
  const chosen = dims.map((size, i) => (i === axis ? k : size));
  return [
    { dtype, dims: chosen },
    { dtype: 'int64', dims: chosen },
  ];
};

export const reductionRules = [
  ...rules(
    1,
    'ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare',
    reduce,
  ),
  ...rules(1, 'ArgMax ArgMin', argument),
  ...rules(11, 'CumSum', running),
  ...rules(26, 'CumProd', running),
  ...rules(1, 'TopK', topK),
];

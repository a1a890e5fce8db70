import { type Rules, rule, type Step } from '../step.js';

/** The axes of a reduction, each once, in order. */
function axesOf(step: Step): number[] {
  const rank = step.dims(0).length;
  const axes = step.ints(1, 'axes').map((axis) => step.axis(axis, rank));
  return [...new Set(axes)].sort((a, b) => a - b);
}

/** No axes at all leave the input as it is. */
function reduced(step: Step, op: string, x: string): string {
  const axes = axesOf(step);
  return axes.length === 0 ? x : step.reduce(op, x, axes, step.boolOption(0));
}

const reduction =
  (op: string, floatOnly = false) =>
  (step: Step): void =>
    step.give(reduced(step, op, floatOnly ? step.float(0) : step.read(0)));

/** Of booleans, as the greatest or smallest of 0 and 1. */
const test = (op: string) => (step: Step) => {
  if (step.input(0).dtype !== 'bool') step.refuse(`an input of ${step.input(0).type} is not supported`);
  step.give(step.cast(reduced(step, op, step.cast(step.stored(0), 'int32')), 'bool'));
};

/** The first of equal elements, as int32 or int64. */
const arg = (op: string) => (step: Step) => {
  const x = step.read(0);
  const axis = step.axis(step.int(1, 'an axis'), step.dimsOf(x).length);
  const at = step.emit(op, [x], { axis, keepdims: 0 });
  step.give(step.cast(at, step.output().dtype ?? 'int32'));
};

function cumulativeSum(step: Step): void {
  const x = step.read(0);
  const axis = step.conversion.ints([step.axis(step.int(1, 'an axis'), step.dimsOf(x).length)]);
  const flags = { exclusive: step.boolOption(0) ? 1 : 0, reverse: step.boolOption(1) ? 1 : 0 };
  step.give(step.emit('CumSum', [x, step.reshape(axis, [])], flags));
}

/** The greatest elements along the last axis, and where they stand. */
function topK(step: Step): void {
  const x = step.read(0);
  const dims = step.dimsOf(x);
  const k = step.int(1, 'a count');
  if (dims.length === 0 || !(k >= 0 && k <= (dims.at(-1) as number))) step.invalid(`${k} of [${dims}]`);
  const attributes = { axis: -1, largest: 1, sorted: 1 };
  const made = step.conversion.emitMany('TopK', [x, step.ints64([k])], attributes, 2);
  const [values, at] = made as [string, string];
  step.give(values);
  step.give(step.cast(at, step.output(1).dtype ?? 'int32'), { k: 1 });
}

export const reducingRules: Rules = {
  MEAN: rule('Reducer', 1, 3, [2, 2], reduction('ReduceMean', true)),
  SUM: rule('Reducer', 1, 2, [2, 2], reduction('ReduceSum')),
  REDUCE_MAX: rule('Reducer', 1, 3, [2, 2], reduction('ReduceMax')),
  REDUCE_MIN: rule('Reducer', 1, 3, [2, 2], reduction('ReduceMin')),
  REDUCE_PROD: rule('Reducer', 1, 2, [2, 2], reduction('ReduceProd')),
  REDUCE_ANY: rule('Reducer', 1, 1, [2, 2], test('ReduceMax')),
  REDUCE_ALL: rule('Reducer', 1, 1, [2, 2], test('ReduceMin')),
  ARG_MAX: rule('ArgMax', 1, 3, [2, 2], arg('ArgMax')),
  ARG_MIN: rule('ArgMin', 1, 3, [2, 2], arg('ArgMin')),
  CUMSUM: rule('Cumsum', 2, 1, [2, 2], cumulativeSum),
  TOPK_V2: rule('TopKV2', 0, 3, [2, 2], topK),
};

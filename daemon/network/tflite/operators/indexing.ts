import { isQuantised } from '../conversion.js';
import { type Rules, rule, type Step } from '../step.js';
import { requantiseWide } from './requantise.js';

function gather(step: Step): void {
  if (step.intOption(1) !== 0) step.refuse(`batch_dims ${step.intOption(1)} is not supported`);
  const axis = step.axis(step.intOption(0), step.dims(0).length);
  step.give(step.emit('Gather', [step.read(0), indices(step, 1)], { axis }));
}

function indices(step: Step, input: number): string {
  const value = step.stored(input);
  const dtype = step.conversion.dtype(value);
  if (dtype !== 'int32' && dtype !== 'int64') step.refuse(`indices of ${dtype} are not supported`);
  return value;
}

function gatherNd(step: Step): void {
  const x = step.read(0);
  const [dims, at] = [step.dimsOf(x), step.dims(1)];
  const depth = at.at(-1) ?? 0;
  if (depth < 1 || depth > dims.length) step.invalid(`indices [${at}] into [${dims}]`);
  step.give(step.emit('GatherND', [x, step.cast(indices(step, 1), 'int64')]));
}

function embeddingLookup(step: Step): void {
  step.give(step.emit('Gather', [step.read(1), indices(step, 0)], { axis: 0 }));
}

/** By broadcasting; the older operator also takes one condition for each row. */
function select(step: Step): void {
  const condition = step.stored(0);
  if (step.conversion.dtype(condition) !== 'bool')
    step.refuse(`it needs a condition of bool, this one is ${step.input(0).type}`);
  const [x, y] = [step.read(1), step.read(2)];
  const [rows, dims] = [step.dimsOf(condition), step.dimsOf(x)];
  const byRow = step.operator.name === 'SELECT' && rows.length === 1 && dims.length > 1;
  if (step.operator.name === 'SELECT' && !byRow && rows.length > 0 && `${rows}` !== `${dims}`)
    step.invalid(`a condition [${rows}] does not fit [${dims}]`);
  const shown = byRow
    ? step.reshape(condition, [rows[0] as number, ...dims.slice(1).map(() => 1)])
    : condition;
  step.give(step.emit('Where', [shown, x, y]));
}

/** Comparing keeps what ONNX's OneHot does not: an index out of range, also a negative one, is off everywhere. */
function oneHot(step: Step): void {
  const { conversion } = step;
  const at = indices(step, 0);
  const dims = step.dimsOf(at);
  const depth = step.int(1, 'a depth');
  if (depth < 0 || depth > 2 ** 20) step.refuse(`the depth ${depth} is not supported`);
  const axis = step.intOption(0) === -1 ? dims.length : step.axis(step.intOption(0), dims.length + 1);
  const classes = conversion.constant({
    dtype: 'int64',
    dims: [depth, ...dims.slice(axis).map(() => 1)],
    data: new Uint8Array(BigInt64Array.from({ length: depth }, (_, i) => BigInt(i)).buffer),
  });
  const spread = step.reshape(step.cast(at, 'int64'), [...dims.slice(0, axis), 1, ...dims.slice(axis)]);
  const [on, off] = [step.reshape(step.read(2), []), step.reshape(step.read(3), [])];
  step.give(step.emit('Where', [step.emit('Equal', [spread, classes]), on, off]));
}

function shapeOf(step: Step): void {
  step.give(step.cast(step.emit('Shape', [step.stored(0)]), step.output().dtype ?? 'int32'));
}

function rank(step: Step): void {
  const data = new Uint8Array(Int32Array.of(step.dims(0).length).buffer);
  step.give(step.conversion.constant({ dtype: 'int32', dims: [], data }));
}

function fill(step: Step): void {
  const dims = step.ints(0, 'a shape');
  if (dims.some((size) => size < 0)) step.invalid(`the shape [${dims}]`);
  const value = step.stored(1);
  if (step.dimsOf(value).some((size) => size !== 1)) step.invalid('its value is no single number');
  const made = step.emit('Expand', [step.reshape(value, []), step.ints64(dims)]);
  if (isQuantised(step.output())) step.refuse('an output with scales is not supported');
  step.give(made);
}

function range(step: Step): void {
  const [start, limit, delta] = [0, 1, 2].map((i) => {
    const [value] = step.conversion.numbers(step.stored(i)) ?? step.refuse('it needs constant bounds');
    return value as number;
  }) as [number, number, number];
  if (delta === 0) step.invalid('its step is 0');
  const size = Math.max(0, Math.ceil((limit - start) / delta));
  if (!(size <= 2 ** 20)) step.refuse(`a range of ${size} numbers is not supported`);
  const dtype = step.conversion.dtype(step.stored(0));
  const numbers = Array.from({ length: size }, (_, i) => start + i * delta);
  if (dtype !== 'float32' && dtype !== 'int32') step.refuse(`a range of ${dtype} is not supported`);
  const data = (dtype === 'float32' ? Float32Array : Int32Array).from(numbers);
  step.give(step.conversion.constant({ dtype, dims: [size], data: new Uint8Array(data.buffer) }));
}

/** Element types are taken from the tensors, whose scales a cast does not apply. */
function cast(step: Step): void {
  const dtype = step.output().dtype ?? step.refuse(`an output of ${step.output().type} is not supported`);
  const made = step.cast(step.stored(0), dtype);
  if (isQuantised(step.output()) && dtype === 'float32')
    step.refuse('an output with scales is not supported');
  step.give(made);
}

/** From float32, or from one scale to another. */
function quantise(step: Step): void {
  const output = step.output();
  if (output.dtype === 'int32' && output.quantisation) {
    requantiseWide(step);
    return;
  }
  if (!isQuantised(output)) step.refuse(`an output of ${output.type} is not supported`);
  step.give(step.float(0));
}

function dequantise(step: Step): void {
  const half = step.input(0).dtype === 'float16';
  if (!half && !isQuantised(step.input(0))) step.refuse(`an input of ${step.input(0).type} is not supported`);
  step.give(half ? step.cast(step.stored(0), 'float32') : step.read(0));
}

export const indexingRules: Rules = {
  GATHER: rule('Gather', 2, 6, [2, 2], gather),
  GATHER_ND: rule('GatherNd', 0, 4, [2, 2], gatherNd),
  EMBEDDING_LOOKUP: rule('none', 0, 4, [2, 2], embeddingLookup),
  SELECT: rule('Select', 0, 4, [3, 3], select),
  SELECT_V2: rule('SelectV2', 0, 2, [3, 3], select),
  ONE_HOT: rule('OneHot', 1, 1, [4, 4], oneHot),
  SHAPE: rule('Shape', 1, 1, [1, 1], shapeOf),
  RANK: rule('Rank', 0, 1, [1, 1], rank),
  FILL: rule('Fill', 0, 4, [2, 2], fill),
  RANGE: rule('Range', 0, 2, [3, 3], range),
  CAST: rule('Cast', 2, 7, [1, 1], cast),
  QUANTIZE: rule('Quantize', 0, 3, [1, 1], quantise),
  DEQUANTIZE: rule('Dequantize', 0, 6, [1, 1], dequantise),
};

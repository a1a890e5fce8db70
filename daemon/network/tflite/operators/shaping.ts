import { elementCount } from '../../graph.js';
import { type Rules, rule, type Step } from '../step.js';

const any = Number.POSITIVE_INFINITY;

/** One size may be -1: what is left of the elements. */
function reshape(step: Step): void {
  const given = step.has(1) ? step.ints(1, 'a new shape') : step.option((table) => table.ints(0), []);
  const elements = elementCount(step.dims(0));
  const known = given.filter((size) => size !== -1).reduce((product, size) => product * size, 1);
  const dims = given.map((size) => (size === -1 ? elements / known : size));
  if (!dims.every((size) => Number.isInteger(size) && size >= 0) || elementCount(dims) !== elements)
    step.invalid(`the shape [${given}] does not hold the ${elements} elements of [${step.dims(0)}]`);
  step.give(step.reshape(step.read(0), dims));
}

function squeeze(step: Step): void {
  const dims = step.dims(0);
  const given = step.option((table) => table.ints(0), []);
  const axes = new Set(given.map((axis) => step.axis(axis, dims.length)));
  if ([...axes].some((axis) => dims[axis] !== 1))
    step.invalid(`the axes [${given}] of [${dims}] are not all 1`);
  const kept = dims.filter((size, i) => (axes.size > 0 ? !axes.has(i) : size !== 1));
  step.give(step.reshape(step.read(0), kept));
}

function expandDims(step: Step): void {
  const dims = step.dims(0);
  const axis = step.axis(step.int(1, 'an axis'), dims.length + 1);
  step.give(step.reshape(step.read(0), [...dims.slice(0, axis), 1, ...dims.slice(axis)]));
}

function transpose(step: Step): void {
  const rank = step.dims(0).length;
  const perm = step.ints(1, 'a permutation').map((axis) => step.axis(axis, rank));
  if (perm.length !== rank || new Set(perm).size !== rank)
    step.invalid(`[${perm}] is no permutation of ${rank} axes`);
  step.give(step.transpose(step.read(0), perm));
}

function concatenation(step: Step): void {
  const axis = step.axis(step.intOption(0), step.dims(0).length);
  const parts = step.operator.inputs.map((_, i) => step.read(i));
  step.give(step.emit('Concat', parts, { axis }), { activation: step.byteOption(1) });
}

function pack(step: Step): void {
  const dims = step.dims(0);
  const axis = step.axis(step.intOption(1), dims.length + 1);
  const parts = step.operator.inputs.map((_, i) => {
    if (`${step.dims(i)}` !== `${dims}`) step.invalid(`its inputs are [${dims}] and [${step.dims(i)}]`);
    return step.reshape(step.read(i), [...dims.slice(0, axis), 1, ...dims.slice(axis)]);
  });
  step.give(step.emit('Concat', parts, { axis }));
}

function unpack(step: Step): void {
  const dims = step.dims(0);
  const axis = step.axis(step.intOption(1), dims.length);
  if (dims[axis] !== step.operator.outputs.length)
    step.invalid(`axis ${axis} of [${dims}] for ${step.operator.outputs.length} outputs`);
  const kept = dims.filter((_, i) => i !== axis);
  divide(step, 0, axis, Array(dims[axis]).fill(1), kept);
}

function split(step: Step): void {
  const dims = step.dims(1);
  const axis = step.axis(step.int(0, 'an axis'), dims.length);
  const count = step.operator.outputs.length;
  if ((dims[axis] as number) % count !== 0 || step.intOption(0) !== count)
    step.invalid(`axis ${axis} of [${dims}] for ${count} outputs`);
  divide(step, 1, axis, Array(count).fill((dims[axis] as number) / count));
}

/** One size may be -1: what is left. */
function splitV(step: Step): void {
  const dims = step.dims(0);
  const axis = step.axis(step.int(2, 'an axis'), dims.length);
  const given = step.ints(1, 'sizes');
  const rest = (dims[axis] as number) - given.filter((size) => size !== -1).reduce((a, b) => a + b, 0);
  const sizes = given.map((size) => (size === -1 ? rest : size));
  const whole = sizes.every((size) => size >= 0) && sizes.reduce((a, b) => a + b, 0) === dims[axis];
  if (!whole || sizes.length !== step.operator.outputs.length)
    step.invalid(`axis ${axis} of [${dims}] in parts of [${given}]`);
  divide(step, 0, axis, sizes);
}

/** Cuts an input along an axis; `kept`: the shape that every part then gets. */
function divide(
  step: Step,
  input: number,
  axis: number,
  sizes: readonly number[],
  kept?: readonly number[],
): void {
  const value = step.read(input);
  const parts =
    sizes.length === 1
      ? [value]
      : step.conversion.emitMany('Split', [value, step.ints64(sizes)], { axis }, sizes.length);
  parts.forEach((part, k) => {
    step.give(kept ? step.reshape(part, kept) : part, { k });
  });
}

function tile(step: Step): void {
  const repeats = step.ints(1, 'multiples');
  if (repeats.length !== step.dims(0).length || repeats.some((n) => n < 0))
    step.invalid(`multiples [${repeats}] for [${step.dims(0)}]`);
  step.give(step.emit('Tile', [step.read(0), step.ints64(repeats)]));
}

/** The shape itself, so that an input may only be widened, as ONNX's Expand also narrows nothing. */
function broadcastTo(step: Step): void {
  const [dims, target] = [step.dims(0), step.ints(1, 'a shape')];
  const fits = dims.every((size, i) => {
    const wanted = target[i + target.length - dims.length];
    return size === 1 || size === wanted;
  });
  if (!fits || dims.length > target.length) step.invalid(`[${dims}] does not broadcast to [${target}]`);
  step.give(step.emit('Expand', [step.read(0), step.ints64(target)]));
}

export const shapingRules: Rules = {
  RESHAPE: rule('Reshape', 1, 1, [1, 2], reshape),
  SQUEEZE: rule('Squeeze', 1, 2, [1, 1], squeeze),
  EXPAND_DIMS: rule('ExpandDims', 0, 1, [2, 2], expandDims),
  TRANSPOSE: rule('Transpose', 0, 6, [2, 2], transpose),
  CONCATENATION: rule('Concatenation', 2, 4, [1, any], concatenation),
  PACK: rule('Pack', 2, 4, [1, any], pack),
  UNPACK: rule('Unpack', 2, 4, [1, 1], unpack),
  SPLIT: rule('Split', 1, 4, [2, 2], split),
  SPLIT_V: rule('SplitV', 1, 2, [3, 3], splitV),
  TILE: rule('Tile', 0, 3, [2, 2], tile),
  BROADCAST_TO: rule('BroadcastTo', 0, 3, [2, 2], broadcastTo),
};

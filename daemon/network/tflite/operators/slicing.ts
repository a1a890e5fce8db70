import { type Rules, rule, type Step } from '../step.js';

/** What is left of one axis: `start`, `start + step`, … as many as `size`. */
interface Cut {
  readonly start: number;
  readonly size: number;
  readonly step: number;
}

/** ONNX's Slice of the axes that are cut at all. An end before the first element is written as the most negative one. */
function cut(step: Step, value: string, cuts: readonly Cut[]): string {
  const dims = step.dimsOf(value);
  const axes = cuts.flatMap(({ start, size, step: by }, axis) =>
    start === 0 && by === 1 && size === dims[axis] ? [] : [axis],
  );
  if (axes.length === 0) return value;
  // A position before the first element would be counted from the end.
  const at = axes
    .map((axis) => cuts[axis] as Cut)
    .map((one) => (one.size === 0 ? { ...one, start: 0 } : one));
  const ends = at.map(({ start, size, step: by }) => {
    const end = start + size * by;
    return end < 0 ? -(2 ** 31) : end;
  });
  const inputs = [at.map(({ start }) => start), ends, axes, at.map(({ step: by }) => by)];
  return step.emit('Slice', [value, ...inputs.map((list) => step.ints64(list))]);
}

/** A size of -1 goes to the end. */
function slice(step: Step): void {
  const dims = step.dims(0);
  const [begin, size] = [step.ints(1, 'a beginning'), step.ints(2, 'sizes')];
  const cuts = dims.map((length, i): Cut => {
    const start = begin[i] ?? -1;
    const left = size[i] === -1 ? length - start : (size[i] ?? -1);
    if (start < 0 || left < 0 || start + left > length)
      step.invalid(`it cuts [${begin}] with sizes [${size}] out of [${dims}]`);
    return { start, size: left, step: 1 };
  });
  step.give(cut(step, step.read(0), cuts));
}

interface Entry {
  readonly kind: 'cut' | 'whole' | 'new';
  /** Position in the lists of the operator. */
  readonly at: number;
}

/** One entry for each axis of input and output in turn: the ellipsis spread out, new axes put in. */
function entriesOf(step: Step, count: number, rank: number): Entry[] {
  const bit = (mask: number, i: number): boolean => ((step.intOption(mask) >> i) & 1) === 1;
  const [ellipsis, fresh] = [2, 3];
  const places = Array.from({ length: count }, (_, at) => at);
  const spread = places.filter((at) => bit(ellipsis, at));
  if (spread.length > 1) step.refuse(`the ellipsis mask ${step.intOption(ellipsis)} has more than one bit`);
  const isNew = (at: number): boolean => bit(fresh, at) && !bit(ellipsis, at);
  const taken = places.filter((at) => !bit(ellipsis, at) && !isNew(at)).length;
  if (taken > rank) step.invalid(`it cuts ${taken} axes of ${rank}`);
  const rest = Array.from({ length: rank - taken }, (): Entry => ({ kind: 'whole', at: -1 }));
  // TensorFlow and TensorFlow Lite disagree there.
  if (spread.length === 1 && rest.length === 0)
    step.refuse('an ellipsis that spreads over no axis is not supported');
  const entries = places.flatMap((at): Entry[] => {
    if (bit(ellipsis, at)) return rest;
    return [{ kind: isNew(at) ? 'new' : 'cut', at }];
  });
  return spread.length === 1 ? entries : [...entries, ...rest];
}

function stridedSlice(step: Step): void {
  const dims = step.dims(0);
  const [begin, end, strides] = [step.ints(1, 'beginnings'), step.ints(2, 'ends'), step.ints(3, 'strides')];
  if (end.length !== begin.length || strides.length !== begin.length)
    step.invalid(`it has ${begin.length} beginnings, ${end.length} ends and ${strides.length} strides`);
  if (step.boolOption(5)) step.refuse('ends counted from the beginnings are not supported');
  const masked = (mask: number, at: number): boolean => ((step.intOption(mask) >> at) & 1) === 1;
  const cuts: Cut[] = [];
  const shape: number[] = [];
  for (const { kind, at } of entriesOf(step, begin.length, dims.length)) {
    if (kind === 'new') {
      shape.push(1);
      continue;
    }
    const length = dims[cuts.length] as number;
    if (kind === 'whole') {
      cuts.push({ start: 0, size: length, step: 1 });
      shape.push(length);
      continue;
    }
    const by = strides[at] as number;
    const shrink = masked(4, at);
    if (by === 0 || (shrink && by < 0)) step.invalid(`the stride of axis ${cuts.length} is ${by}`);
    const [low, high] = by > 0 ? [0, length] : [-1, length - 1];
    const clamp = (i: number): number => Math.min(Math.max(i < 0 ? i + length : i, low), high);
    const start = masked(0, at) ? (by > 0 ? 0 : length - 1) : clamp(begin[at] as number);
    if (shrink) {
      const asked = begin[at] as number;
      if (!masked(0, at) && !(asked >= -length && asked < length))
        step.invalid(`the index ${asked} lies outside axis ${cuts.length} of [${dims}]`);
      cuts.push({ start, size: 1, step: 1 });
      continue;
    }
    const stop = masked(1, at) ? (by > 0 ? length : -1) : clamp(end[at] as number);
    const size = Math.max(0, Math.ceil((stop - start) / by));
    cuts.push({ start, size, step: by });
    shape.push(size);
  }
  step.give(step.reshape(cut(step, step.read(0), cuts), shape));
}

function reverse(step: Step): void {
  const dims = step.dims(0);
  const axes = new Set(step.ints(1, 'axes').map((axis) => step.axis(axis, dims.length)));
  const cuts = dims.map((size, i) =>
    axes.has(i) && size > 0 ? { start: size - 1, size, step: -1 } : { start: 0, size, step: 1 },
  );
  step.give(cut(step, step.read(0), cuts));
}

/** Pairs of counts before and behind each axis. */
function paddings(step: Step): [number, number][] {
  const rank = step.dims(0).length;
  const counts = step.ints(1, 'paddings');
  if (counts.length !== 2 * rank || counts.some((n) => n < 0))
    step.invalid(`paddings [${counts}] for [${step.dims(0)}]`);
  return Array.from({ length: rank }, (_, i) => [counts[2 * i] as number, counts[2 * i + 1] as number]);
}

/** With zeros, or with the value of input 2. */
function pad(step: Step): void {
  const sides = paddings(step);
  const x = step.read(0);
  const inputs = [x, step.ints64([...sides.map(([before]) => before), ...sides.map(([, behind]) => behind)])];
  if (step.has(2)) {
    const value = step.read(2);
    if (step.conversion.dtype(value) !== step.conversion.dtype(x))
      step.invalid('its value is of another type');
    inputs.push(step.reshape(value, []));
  }
  step.give(step.emit('Pad', inputs, { mode: 'constant' }));
}

/** Reflections leave the border out, symmetric ones repeat it; ONNX's Pad has no symmetric mode. */
function mirrorPad(step: Step): void {
  const dims = step.dims(0);
  const sides = paddings(step);
  const mode = step.byteOption(0);
  if (mode > 1) step.refuse(`the mode ${mode} is not supported`);
  if (
    sides.some(([before, behind], i) => Math.max(before, behind) > (dims[i] as number) - (mode === 0 ? 1 : 0))
  )
    step.invalid(`paddings [${sides}] exceed [${dims}]`);
  const pads = [...sides.map(([before]) => before), ...sides.map(([, behind]) => behind)];
  step.give(
    mode === 0
      ? step.emit('Pad', [step.read(0), step.ints64(pads)], { mode: 'reflect' })
      : sides.reduce((value, side, axis) => symmetric(step, value, axis, side), step.read(0)),
  );
}

/** One axis with its beginning and its end mirrored, borders included. */
function symmetric(
  step: Step,
  value: string,
  axis: number,
  [before, behind]: readonly [number, number],
): string {
  const dims = step.dimsOf(value);
  const mirrored = (start: number, count: number): string[] => {
    const cuts = dims.map((length, i) =>
      i === axis ? { start, size: count, step: -1 } : { start: 0, size: length, step: 1 },
    );
    return count === 0 ? [] : [cut(step, value, cuts)];
  };
  const parts = [...mirrored(before - 1, before), value, ...mirrored((dims[axis] as number) - 1, behind)];
  return parts.length === 1 ? value : step.emit('Concat', parts, { axis });
}

export const slicingRules: Rules = {
  SLICE: rule('Slice', 0, 6, [3, 3], slice),
  STRIDED_SLICE: rule('StridedSlice', 6, 8, [4, 4], stridedSlice),
  REVERSE_V2: rule('ReverseV2', 0, 3, [2, 2], reverse),
  PAD: rule('Pad', 0, 4, [2, 2], pad),
  PADV2: rule('PadV2', 0, 4, [3, 3], pad),
  MIRROR_PAD: rule('MirrorPad', 1, 3, [2, 2], mirrorPad),
};

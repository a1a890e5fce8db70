import type { TfliteModel, TfliteOperator } from '../model.js';
import { type Rules, rule, type Step } from '../step.js';
import { conv2d, depthwise, optionsOf } from './convolution.js';

interface Blocks {
  readonly sizes: readonly number[];
  /** Before and behind each spatial axis. */
  readonly sides: readonly (readonly [number, number])[];
}

function blocksOf(step: Step): Blocks {
  const [sizes, sides] = [step.ints(1, 'block sizes'), step.ints(2, 'paddings or crops')];
  const rank = step.dims(0).length;
  if (sizes.length < 1 || sizes.length > rank - 1 || sides.length !== 2 * sizes.length)
    step.invalid(`blocks [${sizes}] with [${sides}] of [${step.dims(0)}]`);
  if (sizes.some((n) => n < 1) || sides.some((n) => n < 0)) step.invalid(`blocks [${sizes}] with [${sides}]`);
  return { sizes, sides: sizes.map((_, i) => [sides[2 * i] as number, sides[2 * i + 1] as number]) };
}

/** [N, H, W, …] to [bh bw N, H / bh, W / bw, …]: every position of a block becomes a batch of its own. */
function spaceToBatch(step: Step): void {
  const { sizes, sides } = blocksOf(step);
  const rank = step.dims(0).length;
  const rest = Array<number>(rank - 1 - sizes.length).fill(0);
  const pads = [0, 1].flatMap((end) => [0, ...sides.map((side) => side[end] as number), ...rest]);
  const x = step.read(0);
  const padded = pads.some((n) => n > 0) ? step.emit('Pad', [x, step.ints64(pads)], { mode: 'constant' }) : x;
  const [batch, ...dims] = step.dimsOf(padded) as [number, ...number[]];
  if (sizes.some((size, i) => (dims[i] as number) % size !== 0))
    step.invalid(`blocks [${sizes}] of [${dims}]`);
  const outer = sizes.map((size, i) => (dims[i] as number) / size);
  const tail = dims.slice(sizes.length);
  const apart = step.reshape(padded, [batch, ...outer.flatMap((n, i) => [n, sizes[i] as number]), ...tail]);
  const m = sizes.length;
  const perm = [
    ...sizes.map((_, i) => 2 + 2 * i),
    0,
    ...sizes.map((_, i) => 1 + 2 * i),
    ...tail.map((_, i) => 1 + 2 * m + i),
  ];
  const volume = sizes.reduce((a, b) => a * b, 1);
  step.give(step.reshape(step.transpose(apart, perm), [batch * volume, ...outer, ...tail]));
}

/** The reverse, then cropped. */
function batchToSpace(step: Step): void {
  const { sizes, sides } = blocksOf(step);
  const [batch, ...dims] = step.dims(0) as [number, ...number[]];
  const volume = sizes.reduce((a, b) => a * b, 1);
  if (batch % volume !== 0) step.invalid(`blocks [${sizes}] of a batch of ${batch}`);
  const m = sizes.length;
  const tail = dims.slice(m);
  const apart = step.reshape(step.read(0), [...sizes, batch / volume, ...dims]);
  const perm = [m, ...sizes.flatMap((_, i) => [m + 1 + i, i]), ...tail.map((_, i) => 2 * m + 1 + i)];
  const whole = sizes.map((size, i) => size * (dims[i] as number));
  const joined = step.reshape(step.transpose(apart, perm), [batch / volume, ...whole, ...tail]);
  const cuts = sides.map(([before, behind], i) => [before, (whole[i] as number) - behind] as const);
  if (cuts.some(([start, end]) => end < start)) step.invalid('its crops leave nothing');
  const lists = [cuts.map(([start]) => start), cuts.map(([, end]) => end), sizes.map((_, i) => i + 1)];
  const cropped = sides.some(([before, behind]) => before + behind > 0);
  step.give(cropped ? step.emit('Slice', [joined, ...lists.map((list) => step.ints64(list))]) : joined);
}

/** A dilated convolution as old converters write it: SPACE_TO_BATCH_ND, a convolution, BATCH_TO_SPACE_ND. */
export interface Dilated {
  readonly before: number;
  readonly behind: number;
}

/** By the index of the convolution: the indices of the operators around it, where nothing else reads what they make. */
export function findDilated(model: TfliteModel): ReadonlyMap<number, Dilated> {
  const readers = new Map<number, number[]>();
  const makers = new Map<number, number>();
  model.operators.forEach(({ inputs, outputs }, i) => {
    for (const tensor of new Set(inputs)) readers.set(tensor, [...(readers.get(tensor) ?? []), i]);
    for (const tensor of outputs) makers.set(tensor, i);
  });
  const only = (tensor: number | undefined): number | undefined => {
    const found = readers.get(tensor ?? -1) ?? [];
    return found.length === 1 && !model.outputs.includes(tensor as number) ? found[0] : undefined;
  };
  const found = new Map<number, Dilated>();
  model.operators.forEach(({ name, inputs, outputs }, i) => {
    if (name !== 'CONV_2D' && name !== 'DEPTHWISE_CONV_2D') return;
    const [before, behind] = [makers.get(inputs[0] ?? -1), only(outputs[0])];
    const first = model.operators[before ?? -1];
    const last = model.operators[behind ?? -1];
    if (first?.name !== 'SPACE_TO_BATCH_ND' || last?.name !== 'BATCH_TO_SPACE_ND') return;
    if (only(inputs[0]) !== i || last.inputs[0] !== outputs[0] || (before as number) > i) return;
    found.set(i, { before: before as number, behind: behind as number });
  });
  return found;
}

/**
 * Converts all three operators as one convolution whose dilations are the blocks. False where they say something else: the
 * three are converted one by one then.
 */
export function convertDilated(step: Step, first: Step, last: Step): boolean {
  const at = optionsOf(step);
  const same = (a: TfliteOperator, b: TfliteOperator): boolean =>
    `${step.conversion.numbers(step.conversion.stored(a.inputs[1] ?? -1))}` ===
    `${step.conversion.numbers(step.conversion.stored(b.inputs[1] ?? -1))}`;
  if (at.padding !== 1 || [...at.strides, ...at.dilations].some((n) => n !== 1)) return false;
  if (!same(first.operator, last.operator) || first.dims(0).length !== 4) return false;
  if (first.ints(1, 'block sizes').length !== 2) return false;
  const { sizes, sides } = blocksOf(first);
  const crops = last.ints(2, 'crops');
  const dims = first.dims(0);
  const pads = sides.map(([before, behind], i) => [
    before - (crops[2 * i] as number),
    behind - (crops[2 * i + 1] as number),
  ]);
  const whole = sides.every(
    ([before, behind], i) => ((dims[1 + i] as number) + before + behind) % (sizes[i] as number) === 0,
  );
  if (!whole || crops.length !== 4 || crops.some((n) => n < 0) || pads.flat().some((n) => n < 0))
    return false;
  const scales = ({ operator }: Step, list: 'inputs' | 'outputs'): string =>
    JSON.stringify(step.conversion.tensor(operator[list][0] as number).quantisation ?? null);
  if (scales(first, 'inputs') !== scales(first, 'outputs')) return false;
  if (scales(last, 'inputs') !== scales(last, 'outputs')) return false;
  const make = step.operator.name === 'CONV_2D' ? conv2d : depthwise;
  const made = make(step, first.float(0), {
    ...at,
    dilations: sizes as [number, number],
    pads: [0, 1].flatMap((end) => pads.map((side) => side[end] as number)),
  });
  last.give(made, { activation: at.activation });
  return true;
}

export const batchingRules: Rules = {
  SPACE_TO_BATCH_ND: rule('SpaceToBatchND', 0, 4, [3, 3], spaceToBatch),
  BATCH_TO_SPACE_ND: rule('BatchToSpaceND', 0, 4, [3, 3], batchToSpace),
};

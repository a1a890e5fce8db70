import { elementCount } from '../graph.js';
import { moved, reshaped } from './elements.js';
import {
  axesOf,
  axisOf,
  broadcast,
  intAttribute,
  intsAttribute,
  invalid,
  known,
  movedInts,
  type Rule,
  type RuleInput,
  rules,
  stringAttribute,
} from './rule.js';

/** Operators that keep the elements and arrange or repeat them under another shape. */

const reshape: Rule = (input) => {
  const x = input.shape(0);
  const target =
    input.opset < 5 ? intsAttribute(input.node, 'shape') : known(input, 1, 'sizes (its input 1)');
  if (!target) throw invalid(input, 'the attribute shape is missing');
  const keepZero = input.opset >= 14 && intAttribute(input.node, 'allowzero', 0) === 1;
  const wrong = (): Error => invalid(input, `[${x.dims}] cannot become [${target}]`);
  const dims = target.map((size, i) => {
    if (size !== 0 || keepZero) return size;
    if (i >= x.dims.length) throw wrong();
    return x.dims[i] as number;
  });
  const open = dims.indexOf(-1);
  const total = elementCount(x.dims);
  if (open >= 0) dims[open] = total / elementCount(dims.filter((_, i) => i !== open));
  if (elementCount(dims) !== total || !dims.every((size) => Number.isInteger(size) && size >= 0))
    throw wrong();
  return [reshaped(input, 0, dims)];
};

const flatten: Rule = (input) => {
  const { dims } = input.shape(0);
  const axis = intAttribute(input.node, 'axis', 1);
  const at = axis < 0 ? axis + dims.length : axis;
  if (at < 0 || at > dims.length) throw invalid(input, `axis ${axis} outside rank ${dims.length}`);
  return [reshaped(input, 0, [elementCount(dims.slice(0, at)), elementCount(dims.slice(at))])];
};

const transpose: Rule = (input) => {
  const { dims } = input.shape(0);
  const order = intsAttribute(input.node, 'perm') ?? dims.map((_, i) => dims.length - 1 - i);
  if ([...order].sort((a, b) => a - b).join() !== dims.map((_, i) => i).join())
    throw invalid(input, `perm [${order}] does not fit [${dims}]`);
  return [
    moved(
      input,
      0,
      order.map((axis) => dims[axis] as number),
      (index) => dims.map((_, axis) => index[order.indexOf(axis)] as number),
    ),
  ];
};

const squeeze: Rule = (input) => {
  const { dims } = input.shape(0);
  const given = movedInts(input, 'axes', 1, 13);
  const axes = given ? axesOf(input, given, dims.length) : dims.flatMap((size, i) => (size === 1 ? [i] : []));
  const wide = axes.find((axis) => dims[axis] !== 1);
  if (wide !== undefined) throw invalid(input, `axis ${wide} of [${dims}] is not 1`);
  return [
    reshaped(
      input,
      0,
      dims.filter((_, i) => !axes.includes(i)),
    ),
  ];
};

const unsqueeze: Rule = (input) => {
  const { dims } = input.shape(0);
  const axes = movedInts(input, 'axes', 1, 13);
  if (!axes) throw invalid(input, 'axes are missing');
  const wider = [...dims];
  for (const axis of [...axesOf(input, axes, dims.length + axes.length)].sort((a, b) => a - b))
    wider.splice(axis, 0, 1);
  return [reshaped(input, 0, wider)];
};

const expand: Rule = (input) => {
  const { dims } = input.shape(0);
  const wide = broadcast(input, dims, known(input, 1, 'sizes (its input 1)'));
  const ahead = wide.length - dims.length;
  return [
    moved(input, 0, wide, (index) =>
      dims.map((size, axis) => (size === 1 ? 0 : (index[axis + ahead] as number))),
    ),
  ];
};

const tile: Rule = (input) => {
  const { dims } = input.shape(0);
  const repeats = known(input, 1, 'repeats');
  if (repeats.length !== dims.length) throw invalid(input, `repeats [${repeats}] do not fit [${dims}]`);
  const wide = dims.map((size, i) => size * (repeats[i] as number));
  return [moved(input, 0, wide, (index) => index.map((at, axis) => at % (dims[axis] as number)))];
};

function blockOf(input: RuleInput): readonly [number, number, number, number, number] {
  const { dims } = input.shape(0);
  const block = intAttribute(input.node, 'blocksize', 0);
  if (dims.length !== 4 || block <= 0) throw invalid(input, `blocks of ${block} do not fit [${dims}]`);
  const [n, c, h, w] = dims as [number, number, number, number];
  return [n, c, h, w, block];
}

const depthToSpace: Rule = (input) => {
  const [n, c, h, w, block] = blockOf(input);
  const mode = stringAttribute(input.node, 'mode', 'DCR');
  if (c % block ** 2 !== 0)
    throw invalid(input, `${c} channels do not part into blocks of ${block} by ${block}`);
  if (mode !== 'DCR' && mode !== 'CRD') throw invalid(input, `the mode ${mode} does not exist`);
  return [{ dtype: input.shape(0).dtype, dims: [n, c / block ** 2, h * block, w * block] }];
};

const spaceToDepth: Rule = (input) => {
  const [n, c, h, w, block] = blockOf(input);
  if (h % block !== 0 || w % block !== 0)
    throw invalid(input, `${h} by ${w} does not part into blocks of ${block}`);
  return [{ dtype: input.shape(0).dtype, dims: [n, c * block ** 2, h / block, w / block] }];
};

/** Same shape; each element stands somewhere else, or is dropped. */
const same: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  return [{ dtype, dims }];
};

const trilu: Rule = (input) => {
  if (input.shape(0).dims.length < 2) throw invalid(input, `[${input.shape(0).dims}] holds no matrices`);
  return same(input);
};

const reverseSequence: Rule = (input) => {
  const { dims } = input.shape(0);
  for (const [name, initial] of [
    ['batch_axis', 1],
    ['time_axis', 0],
  ] as const)
    axisOf(input, intAttribute(input.node, name, initial), dims.length);
  return same(input);
};

export const arrangementRules = [
  ...rules(1, 'Reshape', reshape),
  ...rules(1, 'Flatten', flatten),
  ...rules(1, 'Transpose', transpose),
  ...rules(1, 'Squeeze', squeeze),
  ...rules(1, 'Unsqueeze', unsqueeze),
  ...rules(8, 'Expand', expand),
  ...rules(6, 'Tile', tile),
  ...rules(1, 'DepthToSpace', depthToSpace),
  ...rules(1, 'SpaceToDepth', spaceToDepth),
  ...rules(14, 'Trilu', trilu),
  ...rules(10, 'ReverseSequence', reverseSequence),
  ...rules(23, 'RotaryEmbedding', same),
];

import { seedOfName } from '../../../daemon/network/generated-signs.js';
import { elementCount, type Node } from '../../../daemon/network/graph.js';
import { intAttribute } from '../../../daemon/network/shape-rules/rule.js';
import type { Prepared } from './prepare.js';

/** A layer whose weights take factors of its input's or output's channels; both where it is depthwise. */
export interface ScaledLayer {
  readonly node: Node;
  readonly kind: 'conv' | 'depthwise' | 'transposed' | 'linear' | 'affine' | 'norm';
}

/** Values whose channels may be scaled alike, since what lies between them scales with them. */
export interface ChannelGroup {
  readonly values: readonly string[];
  readonly axis: number;
  readonly channels: number;
}

export interface ChannelGroups {
  readonly groups: readonly ChannelGroup[];
  readonly layers: readonly ScaledLayer[];
  /** The group of a value; undefined where its channels stay as they are. */
  of(value: string): ChannelGroup | undefined;
}

/** Operators that give each channel times a positive factor where they get that, channels along axis 1 of images. */
const imagePassing = new Set(['GlobalAveragePool', 'AveragePool', 'GlobalMaxPool', 'MaxPool']);
/** The same, element by element. */
const passing = new Set(['Relu', 'LeakyRelu', 'PRelu', 'Identity']);

/**
 * Finds groups of values between layers with constant weights whose channels may be scaled, so that all channels use the
 * steps of a value's one scale (Nagel et al., ICCV 2019, section 4.1). A value that anything else reads is in no group.
 */
export function channelGroups(
  { graph, shapes, made, grids }: Prepared,
  isFixed: (value: string) => boolean,
): ChannelGroups {
  const parents = new Map<string, string>();
  const axes = new Map<string, number>();
  const blocked = new Set<string>();
  const dimsOf = (value: string): readonly number[] => (made.get(value) ?? shapes.get(value))?.dims ?? [];
  const rootOf = (value: string): string => {
    const parent = parents.get(value) ?? value;
    return parent === value ? value : rootOf(parent);
  };
  const block = (value: string): void => void blocked.add(rootOf(value));
  const place = (value: string, axis: number): void => {
    const root = rootOf(value);
    const known = axes.get(root);
    if (known !== undefined && known !== axis) block(root);
    axes.set(root, axis);
    if (!parents.has(value)) parents.set(value, root);
  };
  const join = (a: string, b: string): void => {
    const [from, to] = [rootOf(a), rootOf(b)];
    for (const one of [a, b, from, to]) if (!parents.has(one)) parents.set(one, one);
    if (from === to) return;
    parents.set(from, to);
    const axis = axes.get(from);
    if (blocked.has(from)) blocked.add(to);
    if (axis !== undefined) place(to, axis);
  };
  const axisOf = ({ node, kind }: ScaledLayer, value: string): number =>
    kind === 'affine'
      ? Number(node.attributes.axis)
      : kind === 'linear' || kind === 'norm'
        ? dimsOf(value).length - 1
        : 1;
  const isConstant = (name: string | undefined): boolean =>
    Boolean(name) && graph.initializers.has(name ?? '');

  const layers: ScaledLayer[] = [];
  for (const node of graph.nodes) {
    const [x = '', second = ''] = node.inputs;
    const [y = ''] = node.outputs;
    const layer = layerOf(node, { isConstant, dimsOf, grids, weights: graph.initializers });
    const isOpen = node.attributes.max === undefined && (node.attributes.min ?? 0) === 0;
    if (layer) layers.push(layer);
    if (layer && isOpen && node.outputs.length === 1) {
      if (layer.kind === 'norm') block(x);
      else place(x, axisOf(layer, x));
      place(y, axisOf(layer, y));
      continue;
    }
    const sameRank = dimsOf(x).length === dimsOf(y).length;
    if (passing.has(node.op) && sameRank && !isConstant(x)) {
      join(x, y);
      if (second !== '' && !isConstant(second)) block(second);
    } else if (node.op === 'Mul' && isOpen && isWeighed(node, dimsOf, isConstant)) {
      const at = elementCount(dimsOf(x)) === elementCount(dimsOf(y)) ? 0 : 1;
      join(node.inputs[at] as string, y);
      block(node.inputs[1 - at] as string);
    } else if ((imagePassing.has(node.op) || isSpatialResize(node, dimsOf)) && node.outputs.length === 1) {
      join(x, y);
      place(y, 1);
    } else if (node.op === 'Add' && isOpen && !isConstant(x) && !isConstant(second)) {
      join(x, y);
      join(second, y);
    } else for (const name of [...node.inputs, ...node.outputs]) block(name);
  }
  for (const { name } of [...graph.inputs, ...graph.outputs]) block(name);

  const members = new Map<string, string[]>();
  for (const value of parents.keys()) {
    if (isConstant(value)) block(value);
    if (isFixed(value) || made.has(value)) block(value);
    members.set(rootOf(value), [...(members.get(rootOf(value)) ?? []), value]);
  }
  const groups = new Map<string, ChannelGroup>();
  for (const [root, values] of members) {
    const axis = axes.get(root);
    if (axis === undefined || blocked.has(root)) continue;
    const channels = dimsOf(root)[axis];
    const [first] = values as [string];
    const alike = values.every(
      (value) => dimsOf(value).length === dimsOf(first).length && dimsOf(value)[axis] === channels,
    );
    if (alike && channels !== undefined && channels > 1) groups.set(root, { values, axis, channels });
  }
  return { groups: [...groups.values()], layers, of: (value) => groups.get(rootOf(value)) };
}

function layerOf(
  node: Node,
  {
    isConstant,
    dimsOf,
    grids,
    weights,
  }: {
    readonly isConstant: (name: string | undefined) => boolean;
    readonly dimsOf: (value: string) => readonly number[];
    readonly grids: Prepared['grids'];
    readonly weights: Prepared['graph']['initializers'];
  },
): ScaledLayer | undefined {
  const { op, inputs } = node;
  const [x = '', weight = ''] = inputs;
  const constants = inputs.slice(1).filter((name) => name !== '');
  const areFloat = constants.every((name) => isConstant(name) && weights.get(name)?.dtype === 'float32');
  // Weights that the network gave as integers, or that a seed gives, are what they are.
  if (!areFloat || constants.length === 0 || isConstant(x) || grids.has(weight)) return undefined;
  if (seedOfName(weight) !== undefined) return undefined;
  const groups = intAttribute(node, 'group', 1);
  const channels = dimsOf(x)[1];
  switch (op) {
    case 'Conv':
      if (groups === 1) return { node, kind: 'conv' };
      return groups === channels && groups === dimsOf(node.outputs[0] as string)[1]
        ? { node, kind: 'depthwise' }
        : undefined;
    case 'ConvTranspose':
      return groups === 1 ? { node, kind: 'transposed' } : undefined;
    case 'Linear':
      return { node, kind: 'linear' };
    case 'ChannelAffine':
      return { node, kind: 'affine' };
    case 'LayerNormalization': {
      const axis = intAttribute(node, 'axis', -1);
      const isLast = axis === -1 || axis === dimsOf(x).length - 1;
      const width = dimsOf(x).at(-1);
      const isWhole = constants.every((name) => weights.get(name)?.dims.at(-1) === width);
      return isLast && isWhole ? { node, kind: 'norm' } : undefined;
    }
    default:
      return undefined;
  }
}

/** Whether a node is the product of a value by one of fewer elements, as of channels by their gates. */
function isWeighed(
  { inputs, outputs }: Node,
  dimsOf: (value: string) => readonly number[],
  isConstant: (name: string) => boolean,
): boolean {
  if (inputs.some(isConstant)) return false;
  const whole = elementCount(dimsOf(outputs[0] as string));
  return inputs.filter((name) => elementCount(dimsOf(name)) === whole).length === 1;
}

/** Whether a node resizes the axes behind the channels alone. */
function isSpatialResize(
  { op, inputs, outputs, attributes }: Node,
  dimsOf: (value: string) => readonly number[],
): boolean {
  const [from, to] = [dimsOf(inputs[0] ?? ''), dimsOf(outputs[0] ?? '')];
  return (
    (op === 'Resize' || op === 'Upsample') &&
    // The one mode with a value of its own, beyond the image.
    attributes.coordinate_transformation_mode !== 'tf_crop_and_resize' &&
    from.length === to.length &&
    from.length > 2 &&
    from[0] === to[0] &&
    from[1] === to[1]
  );
}

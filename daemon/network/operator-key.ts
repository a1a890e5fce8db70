import type { Node } from './graph.js';
import { intAttribute, intsAttribute, type Shape, stringAttribute } from './shape-rules/rule.js';

/** Which input of a convolution holds its weights. */
const kernelInput: ReadonlyMap<string, number> = new Map([
  ['Conv', 1],
  ['ConvTranspose', 1],
  ['ConvInteger', 1],
  ['DeformConv', 1],
  ['FusedConv', 1],
  ['QLinearConv', 3],
]);

/**
 * Operator, shapes of its activations and attributes in one line: equal keys cost the same. A predictor's tables hold
 * these keys, so their form never changes. `?` stands for a shape that is not known.
 */
export function keyOf(
  node: Node,
  shapeOf: (name: string) => Shape | undefined,
  isConstant: (name: string) => boolean,
): string {
  const text = (name: string): string => shapeOf(name)?.dims.join('x') ?? '?';
  const activations = node.inputs.filter((name) => name !== '' && !isConstant(name)).map(text);
  const [first = ''] = node.outputs;
  const head = `${node.op} ${activations.join(' ')} > ${first === '' ? '' : text(first)}`;
  if (node.op === 'Transpose') return `${head} p${(intsAttribute(node, 'perm') ?? []).join('')}`;
  if (node.op === 'Einsum') return `${head} e${stringAttribute(node, 'equation', '').replaceAll(' ', '')}`;
  const weights = kernelInput.get(node.op);
  const kernel =
    weights === undefined
      ? intsAttribute(node, 'kernel_shape')
      : shapeOf(node.inputs[weights] ?? '')?.dims.slice(2);
  if (!kernel) return head;
  const window = `${head} k${kernel.join('x')} s${(intsAttribute(node, 'strides') ?? kernel.map(() => 1)).join('x')}`;
  if (weights === undefined) return window;
  const dilations = intsAttribute(node, 'dilations') ?? [];
  return `${window} g${intAttribute(node, 'group', 1)}${dilations.some((d) => d !== 1) ? ` d${dilations.join('x')}` : ''}`;
}

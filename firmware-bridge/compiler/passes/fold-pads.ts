import type { Node } from '../../../daemon/network/graph.js';
import { numbersOf } from '../../../daemon/network/tensor-numbers.js';
import type { EditableGraph } from './editable-graph.js';
import type { Shapes } from './fold-constants.js';

/** Operators whose results are never below zero: a zero beside them changes no maximum. */
const neverNegative = new Set(['Relu', 'Sigmoid', 'HardSigmoid']);

/**
 * Zeros put around an image, taken over by the window that reads it: a convolution, an average that counts its padding, a
 * maximum of what is never negative. What is left is a step of its own.
 */
export function foldPads(graph: EditableGraph, shapes: Shapes): void {
  for (const node of graph.nodes) {
    const pad = graph.privateProducer(node.inputs[0], 'Pad', node);
    // A window that reads its image as its weights too is no window over what lies inside the zeros.
    if (node.inputs.slice(1).includes(node.inputs[0] as string)) continue;
    const widths = pad && spatialPads(graph, pad, shapes);
    const attributes = widths && paddedWindow(graph, pad, node, widths);
    if (!attributes) continue;
    graph.replace(node, {
      ...node,
      inputs: [pad.inputs[0] as string, ...node.inputs.slice(1)],
      attributes: { ...node.attributes, ...attributes },
    });
    graph.remove([pad]);
  }
}

/** Zeros before and behind each spatial axis, as a window's `pads`; undefined where the Pad does anything else. */
function spatialPads(graph: EditableGraph, pad: Node, shapes: Shapes): readonly number[] | undefined {
  const rank = shapes.get(pad.outputs[0] as string)?.dims.length ?? 0;
  const widths = padWidths(pad, rank, (name) => {
    const tensor = graph.constant(name);
    return tensor && numbersOf(tensor);
  });
  if (!widths) return undefined;
  const { before, after } = widths;
  const outside = [...before.slice(0, 2), ...after.slice(0, 2)].some((width) => width !== 0);
  return outside ? undefined : [...before.slice(2), ...after.slice(2)];
}

export interface PadWidths {
  /** By axis. */
  readonly before: readonly number[];
  readonly after: readonly number[];
}

/** A Pad of zeros as widths by axis; undefined for other modes and values, and where they are not constant. */
function padWidths(
  node: Node,
  rank: number,
  numbers: (name: string | undefined) => readonly number[] | undefined,
): PadWidths | undefined {
  const pad = padOf(node, rank, numbers);
  return pad?.mode === 'constant' && pad.value === 0 ? pad : undefined;
}

/** What a Pad puts where; undefined where that is not constant, or where it takes away. */
export function padOf(
  { inputs, attributes }: Node,
  rank: number,
  numbers: (name: string | undefined) => readonly number[] | undefined,
): (PadWidths & { readonly mode: string; readonly value: number }) | undefined {
  const pads = (attributes.pads as readonly number[] | undefined) ?? numbers(inputs[1]);
  const axes = inputs[3] ? numbers(inputs[3]) : Array.from({ length: rank }, (_, axis) => axis);
  const value = inputs[2] ? numbers(inputs[2])?.[0] : Number(attributes.value ?? 0);
  if (!pads || !axes || value === undefined) return undefined;
  const [before, after] = [new Array<number>(rank).fill(0), new Array<number>(rank).fill(0)];
  axes.forEach((axis, i) => {
    before[axis < 0 ? axis + rank : axis] = pads[i] as number;
    after[axis < 0 ? axis + rank : axis] = pads[i + axes.length] as number;
  });
  if ([...before, ...after].some((width) => width < 0)) return undefined;
  return { before, after, mode: String(attributes.mode ?? 'constant'), value };
}

function paddedWindow(
  graph: EditableGraph,
  pad: Node,
  { op, attributes }: Node,
  widths: readonly number[],
): Node['attributes'] | undefined {
  if ((attributes.auto_pad ?? 'NOTSET') !== 'NOTSET') return undefined;
  const own = (attributes.pads as readonly number[] | undefined) ?? widths.map(() => 0);
  const pads = widths.map((width, i) => width + (own[i] as number));
  if (op === 'Conv') return { pads };
  if (op !== 'AveragePool' && op !== 'MaxPool') return undefined;
  const kernel = attributes.kernel_shape as readonly number[] | undefined;
  // Taps apart may all lie in the zeros however narrow these are.
  const isDilated = ((attributes.dilations ?? []) as readonly number[]).some((step) => step !== 1);
  if (isDilated) return undefined;
  // A pool's own padding counts for less than these zeros do, rounding up would change with the sizes, and a window of
  // zeros alone has no maximum of its own.
  if (!kernel || attributes.ceil_mode || own.some((width) => width > 0)) return undefined;
  if (pads.some((width, i) => width >= (kernel[i % kernel.length] as number))) return undefined;
  if (op === 'AveragePool') return { pads, count_include_pad: 1 };
  return neverNegative.has(graph.producer(pad.inputs[0])?.op ?? '') ? { pads } : undefined;
}

import type { Features } from '../contract.js';

/** One operator as its table key tells it (`daemon/network/cost.ts`): what it is, and what it moves and multiplies. */
export interface KeyedOperator {
  /** Operators of one type share a rate: `Conv pointwise`, `Conv depthwise 3x3`, `MatMul`. */
  readonly type: string;
  readonly macs: number;
  /** Elements read and written, weights included. */
  readonly elements: number;
}

const grammar =
  /^(?<op>\S+) (?<inputs>[^>]*)> ?(?<output>[\dx]*)(?: k(?<kernel>[\dx]+) s[\dx]+(?: g(?<group>\d+))?(?: d[\dx]+)?)?(?: p\d+)?$/;

/** Undefined for totals and for keys of another grammar. */
export function readKey(key: string): KeyedOperator | undefined {
  const parts = grammar.exec(key)?.groups;
  if (!parts) return undefined;
  const dims = (text: string): number[] => text.split('x').map(Number);
  const inputs = (parts.inputs as string).trim().split(' ').filter(Boolean).map(dims);
  const output = dims(parts.output || '0');
  const size = (list: readonly number[]): number => list.reduce((product, dim) => product * dim, 1);
  const [first = []] = inputs;
  const op = parts.op as string;
  let type = op;
  let macs = 0;
  let weights = 0;
  if (op === 'Conv' && parts.kernel) {
    const group = Number(parts.group ?? 1);
    const kernel = dims(parts.kernel);
    const [inChannels, outChannels] = [first[1] ?? 1, output[1] ?? 1];
    weights = (outChannels * inChannels * size(kernel)) / group;
    macs = (size(output) / outChannels) * weights;
    const shape = kernel.join('x');
    if (group > 1 && group === inChannels) type = `Conv depthwise ${shape}`;
    else type = size(kernel) === 1 ? 'Conv pointwise' : `Conv ${shape}`;
  } else if (op === 'Gemm' || op === 'MatMul' || op === 'FusedMatMul') {
    macs = size(output) * (first.at(-1) ?? 1);
    // One activation: the other side is a weight.
    if (inputs.length < 2) weights = (first.at(-1) ?? 1) * (output.at(-1) ?? 1);
    type = inputs.length < 2 ? 'product with weights' : 'product of activations';
  }
  const elements = inputs.reduce((sum, input) => sum + size(input), 0) + size(output) + weights;
  return { type, macs, elements };
}

/**
 * Few columns instead of one a shape: how many operators of a type, their multiply-accumulates and the elements they move
 * (the roofline's two axes, Williams et al. 2009). Shapes that were never measured are told by those that were.
 */
export function byOperatorType(features: Features): Features {
  const out = new Map<string, number>();
  const add = (name: string, value: number): void => {
    if (value > 0) out.set(name, (out.get(name) ?? 0) + value);
  };
  for (const [key, count] of features) {
    const operator = readKey(key);
    if (!operator) continue;
    const { type, macs, elements } = operator;
    add('operators', count);
    add(type, count);
    add(`${type} macs`, count * macs);
    add(`${type} elements`, count * elements);
  }
  for (const name of ['macs', 'bytesMoved']) add(name, features.get(name) ?? 0);
  return out;
}

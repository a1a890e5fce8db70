import type { Node } from '../../../../daemon/network/graph.js';
import { intAttribute, stringAttribute } from '../../../../daemon/network/shape-rules/rule.js';
import { type Curve, type CurveTable, curveEntries, curveOf } from '../../quantise/curves.js';
import type { GateInputs } from '../../quantise/gate-weights.js';
import { type Quantisation, quantisationOf, type Range } from '../../quantise/quantisation.js';
import { type Lowering, unsupported } from '../lowering.js';
import type { View } from '../operators.js';
import { rowsAlong, type Value } from '../value.js';
import { operandOf, operandRange } from './steps.js';

/** What RNN, GRU and LSTM say alike, read and checked. */
export interface Recurrent {
  readonly steps: number;
  readonly inputs: number;
  readonly units: number;
  readonly xQuantisation: Quantisation;
  /** One for each direction of each sequence of the batch. */
  readonly chains: readonly Chain[];
  /** Of all outputs between the steps and after them. */
  readonly h: Quantisation;
}

export interface Chain {
  /** Its place among all chains, for names. */
  readonly index: number;
  /** The rows of its input, a step each. */
  readonly x: View;
  /** Where its states begin in an input or output of states. */
  readonly stateAt: number;
  /** Where its first row begins in the output of all steps, and how far it is to the next. */
  readonly outputAt: number;
  readonly outputPitch: number;
  readonly reverse: boolean;
  readonly curves: readonly Curve[];
  /** Weights of a gate over the inputs and over the state, and its biases added up or apart. */
  gate(gate: number): Gate;
}

export interface Gate {
  readonly w: Float32Array;
  readonly r: Float32Array;
  readonly wBias: Float32Array;
  readonly rBias: Float32Array;
}

const kinds: ReadonlyMap<string, { readonly gates: number; readonly curves: readonly string[] }> = new Map([
  ['RNN', { gates: 1, curves: ['Tanh'] }],
  ['GRU', { gates: 3, curves: ['Sigmoid', 'Tanh'] }],
  ['LSTM', { gates: 4, curves: ['Sigmoid', 'Tanh', 'Tanh'] }],
]);

/** Reads a recurrent node (ONNX operator specification, opset 7 on). Throws OPERATOR_UNSUPPORTED with what cannot run. */
export function recurrentOf(node: Node, lowering: Lowering): Recurrent {
  const kind = kinds.get(node.op);
  if (!kind) throw unsupported(node, 'it is no recurrent layer');
  refuseOthers(node, lowering);
  const x = lowering.value(node, 0);
  const layout = intAttribute(node, 'layout', 0);
  const [time, batch] = layout === 1 ? [1, 0] : [0, 1];
  const sequences = x.dims[batch] as number;
  const steps = x.dims[time] as number;
  const lengths = node.inputs[4];
  if (lengths && !lowering.numbers(lengths)?.every((length) => length === steps))
    throw unsupported(node, `it needs sequence_lens that are absent or constant and ${steps}`);
  const [w, r] = [1, 2].map((i) => lowering.floats(node.inputs[i]));
  if (!w || !r) throw unsupported(node, 'its weights are no float constants');
  const b = node.inputs[3] ? lowering.floats(node.inputs[3]) : undefined;
  if (node.inputs[3] && !b) throw unsupported(node, 'its biases are no float constant');
  const [count, , units] = lowering.dims(node.inputs[2] as string) as [number, number, number];
  const inputs = x.dims[2] as number;
  const rows = kind.gates * units;
  const direction = stringAttribute(node, 'direction', 'forward');
  if (count !== (direction === 'bidirectional' ? 2 : 1))
    throw unsupported(node, `its direction is ${direction}, its weights are for ${count}`);
  const names = activationsOf(node, kind.curves, count);
  const part = (from: Float32Array, start: number, length: number): Float32Array =>
    from.subarray(start, start + length);
  const none = new Float32Array(units);
  const take = (value: Value): View | undefined => {
    const view = rowsAlong(value, [batch, time], [2]);
    return view?.batch === 1 ? view : undefined;
  };
  const sequence = (at: number): Value => ({
    ...x,
    offset: x.offset + at * (x.strides[batch] as number),
    dims: x.dims.map((size, axis) => (axis === batch ? 1 : size)),
  });
  const rowsOfInput = Array.from({ length: sequences }, (_, at) => lowering.view(node, sequence(at), take));
  const chain = (index: number, at: number): Chain => {
    // Outputs are [time, direction, batch] or [batch, time, direction] of units, states the same without time.
    const isBatchFirst = layout === 1;
    return {
      index: index * sequences + at,
      x: rowsOfInput[at] as View,
      stateAt: units * (isBatchFirst ? at * count + index : index * sequences + at),
      outputAt: units * (isBatchFirst ? at * steps * count + index : index * sequences + at),
      outputPitch: units * count * (isBatchFirst ? 1 : sequences),
      reverse: direction === 'reverse' || index === 1,
      curves: names
        .slice(index * kind.curves.length, (index + 1) * kind.curves.length)
        .map((name) => curveNamed(node, name)),
      gate: (gate) => ({
        w: part(w, (index * rows + gate * units) * inputs, units * inputs),
        r: part(r, (index * rows + gate * units) * units, units * units),
        wBias: b ? part(b, 2 * index * rows + gate * units, units) : none,
        rBias: b ? part(b, (2 * index + 1) * rows + gate * units, units) : none,
      }),
    };
  };
  return {
    steps,
    inputs,
    units,
    xQuantisation: x.quantisation,
    h: stateQuantisation(node, lowering),
    chains: Array.from({ length: count * sequences }, (_, i) =>
      chain(Math.floor(i / sequences), i % sequences),
    ),
  };
}

/** What no board runs, by name. */
function refuseOthers(node: Node, lowering: Lowering): void {
  const { attributes } = node;
  if (Object.hasOwn(attributes, 'clip')) throw unsupported(node, `it clips its gates at ${attributes.clip}`);
  if (intAttribute(node, 'input_forget', 0) !== 0)
    throw unsupported(node, 'its input and forget gates are coupled (input_forget)');
  if (node.op === 'LSTM' && node.inputs[7]) throw unsupported(node, `it has peepholes (${node.inputs[7]})`);
  const outputs = node.outputs.filter((name) => name && lowering.isRead(name));
  if (outputs.length === 0) throw unsupported(node, 'nothing reads its outputs');
}

/** The functions by name, those of all directions one behind the other. */
function activationsOf(node: Node, usual: readonly string[], directions: number): readonly string[] {
  const given = Object.hasOwn(node.attributes, 'activations') ? node.attributes.activations : undefined;
  const all = Array.from({ length: directions }, () => usual).flat();
  const isList = (value: unknown): value is readonly string[] =>
    Array.isArray(value) && value.every((item) => typeof item === 'string');
  if (!isList(given) || given.length === 0) return all;
  if (given.length !== all.length)
    throw unsupported(node, `it has ${given.length} activations, ${all.length} are needed`);
  const plain = given.every((name) => ['sigmoid', 'tanh', 'softsign'].includes(name.toLowerCase()));
  for (const name of ['activation_alpha', 'activation_beta'])
    if (Object.hasOwn(node.attributes, name) && !plain)
      throw unsupported(node, `its activations ${given.join(', ')} take ${name}: their defaults can run`);
  return given;
}

function curveNamed(node: Node, name: string): Curve {
  const curve = curveOf(name);
  if (!curve)
    throw unsupported(node, `its activation is ${name}: Sigmoid, Tanh, HardSigmoid and Softsign can run`);
  return curve;
}

/** Softsign never ends, and over a wider domain the lines between its entries leave it. */
const widest = 32;

/** Refuses a function that does not end within what its table can hold. */
export function refuseBeyond(node: Node, { name, reach }: Curve, { min, max }: Range): void {
  const far = Math.max(-min, max);
  if (Number.isFinite(reach) || far <= widest) return;
  throw unsupported(
    node,
    `its ${name} may get ${far.toPrecision(3)}: values from -${widest} to ${widest} can run`,
  );
}

/** Of what no calibration saw: outputs lie between -1 and 1. */
const wholeRange: Range = { min: -1, max: 1 };

/** What calibration saw of all outputs and a little more, since what is cut off there comes back in the next step. */
function stateQuantisation(node: Node, lowering: Lowering): Quantisation {
  const seen = lowering.range(node.outputs[0] ?? '');
  const start = node.inputs[5] ? operandOf(node, lowering, 5) : undefined;
  if (node.inputs[5] && !start) throw unsupported(node, 'its initial_h is no float constant');
  const usual = seen ? { min: Math.max(-1, 1.1 * seen.min), max: Math.min(1, 1.1 * seen.max) } : wholeRange;
  const first = start ? operandRange(start) : { min: 0, max: 0 };
  return quantisationOf({ min: Math.min(usual.min, first.min), max: Math.max(usual.max, first.max) });
}

/** Several gates as the rows of one layer over a part of its inputs. */
export const stacked = (
  parts: readonly Float32Array[],
  inputs: number,
  quantisation: Quantisation,
): GateInputs => ({ weights: joinedFloats(parts), inputs, quantisation });

export const joinedFloats = (parts: readonly Float32Array[]): Float32Array =>
  Float32Array.from(parts.flatMap((part) => [...part]));

export const addedFloats = (a: Float32Array, b: Float32Array): Float32Array =>
  a.map((value, i) => value + (b[i] as number));

export function joinedCurves(tables: readonly CurveTable[]): Int16Array {
  const joined = new Int16Array(tables.length * curveEntries);
  for (const [i, { entries }] of tables.entries()) joined.set(entries, i * curveEntries);
  return joined;
}

/** The same inputs to the gates of several layers, as rows of one. */
export const joinedParts = (parts: readonly GateInputs[]): GateInputs => ({
  ...(parts[0] as GateInputs),
  weights: joinedFloats(parts.map(({ weights }) => weights)),
});

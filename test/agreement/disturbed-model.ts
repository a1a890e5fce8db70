import onnxProto from 'onnx-proto';
import { type Given, numbers } from './onnxruntime.js';

const { onnx } = onnxProto;
type Graph = onnxProto.onnx.GraphProto;
type NodeProto = onnxProto.onnx.INodeProto;

/** `noise`: by numbers of up to one step either way, fed in. `round`: to whole steps, as a board holds values. */
export type Disturbance = 'noise' | 'round';

export interface Disturbed {
  readonly bytes: Uint8Array;
  /** Inputs to be fed with numbers from -1 to 1. */
  readonly drawn: ReadonlyMap<string, readonly number[]>;
}

/** What 8 bits hold of a value: whole steps from low to high. A result outside saturates, as a variance below 0 does. */
interface Grid {
  readonly step: number;
  readonly low: number;
  readonly high: number;
}

/** Operators whose constants are weights, quantised as such; all others read theirs exactly. */
const weighted = new Set(
  'Conv ConvTranspose Gemm MatMul LSTM GRU Add Sub Mul Div Sum PRelu Max Min Mean'.split(' '),
);
const recurrent = new Set(['RNN', 'GRU', 'LSTM']);
/** The grid of a softmax on boards, for all values: a probability has a fixed scale. */
const softmaxGrid: Grid = { step: 1 / 256, low: 0, high: 255 / 256 };

/** Stands in names that this file makes up: no model has it. */
const apart = '\u0002';

/** The grid of 256 steps that a value's own range gives, with 0 on it; undefined where no step is above 0. */
function gridOf(value: Given | undefined): Grid | undefined {
  if (value?.type !== 'float32') return undefined;
  const all = numbers(value).filter(Number.isFinite);
  const [least, most] = [all.reduce((a, b) => Math.min(a, b), 0), all.reduce((a, b) => Math.max(a, b), 0)];
  const step = (most - least) / 255;
  if (!(step > 0)) return undefined;
  const below = Math.round(-least / step);
  return { step, low: -below * step, high: (255 - below) * step };
}

const peakOf = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((a, b) => Math.max(a, Math.abs(b)), 0);

const elementsOf = ({ rawData, floatData }: onnxProto.onnx.ITensorProto): ArrayLike<number> =>
  rawData?.length ? new Float32Array(new Uint8Array(rawData).buffer) : (floatData ?? []);

/** Outputs of nodes that read constants alone, Constant nodes among them: no board holds them as activations. */
function constantOutputs(graph: Graph, constants: ReadonlyMap<string, unknown>): ReadonlySet<string> {
  const known = new Set([...constants.keys(), '']);
  const made = new Set<string>();
  for (const { input, output } of graph.node ?? [])
    if ((input ?? []).every((name) => known.has(name)))
      for (const name of output ?? []) {
        known.add(name);
        made.add(name);
      }
  return made;
}

/**
 * The model with nodes that disturb every float activation by its 8-bit step, and with `noise` weights by 0.6 of theirs.
 * What leaves an activation's range saturates, as on a board: else a variance below 0 has no root and hides what others do.
 * Works on the file's own form, apart from our reader and writer. `values` holds each value of one run.
 */
export function disturbedModel(
  bytes: Uint8Array,
  values: Readonly<Record<string, Given>>,
  how: Disturbance,
): Disturbed {
  const proto = onnx.ModelProto.decode(bytes);
  const graph = proto.graph as Graph;
  const constants = new Map((graph.initializer ?? []).map((tensor) => [tensor.name ?? '', tensor]));
  const outputs = new Set((graph.output ?? []).map(({ name }) => name));
  const scalars: onnxProto.onnx.ITensorProto[] = [];
  const drawn = new Map<string, readonly number[]>();
  const taken = new Map<string, string>();
  const made: NodeProto[] = [];
  const scalar = (name: string, value: number): string => {
    scalars.push({ name, dataType: 1, dims: [], floatData: [value] });
    return name;
  };
  const opset = Number(proto.opsetImport?.find(({ domain }) => !domain)?.version ?? 1);
  /** Before operator set 11, Clip takes its limits as attributes. */
  const saturated = (from: string, { low, high }: Grid, to: string): NodeProto =>
    opset >= 11
      ? node('Clip', [from, scalar(`${to}${apart}low`, low), scalar(`${to}${apart}high`, high)], to)
      : {
          ...node('Clip', [from], to),
          attribute: [
            { name: 'min', type: 1, f: low },
            { name: 'max', type: 1, f: high },
          ],
        };
  const disturb = (name: string, dims: readonly number[], grid: Grid, to: string): NodeProto[] => {
    const moved = `${to}${apart}moved`;
    const nodes = [...shifted(name, dims, grid.step, moved), saturated(moved, grid, to)];
    taken.set(name, to);
    return nodes;
  };
  const shifted = (name: string, dims: readonly number[], step: number, to: string): NodeProto[] => {
    taken.set(name, to);
    const [between, size] = [`${to}${apart}between`, scalar(`${to}${apart}step`, step)];
    if (how === 'noise') {
      drawn.set(`${to}${apart}drawn`, dims);
      return [node('Mul', [`${to}${apart}drawn`, size], between), node('Add', [name, between], to)];
    }
    // Round is there from operator set 11 on alone.
    return [
      node('Div', [name, size], `${between}${apart}scaled`),
      node('Add', [`${between}${apart}scaled`, scalar(`${to}${apart}half`, 0.5)], `${between}${apart}raised`),
      node('Floor', [`${between}${apart}raised`], between),
      node('Mul', [between, size], to),
    ];
  };
  for (const { name } of graph.input ?? []) {
    const value = name && !constants.has(name) ? values[name] : undefined;
    const grid = gridOf(value);
    if (name && value && grid) made.push(...disturb(name, value.dims, grid, `${name}${apart}noisy`));
  }
  const weights = new Set(
    (graph.node ?? []).filter((one) => weighted.has(one.opType ?? '')).flatMap((one) => one.input ?? []),
  );
  const asWeight = (name: string, dims: readonly number[], peak: number): NodeProto[] =>
    how === 'noise' && weights.has(name) && peak > 0
      ? shifted(name, dims, (0.6 * peak) / 127, `${name}${apart}noisy`)
      : [];
  for (const [name, tensor] of constants)
    if (tensor.dataType === 1)
      made.push(...asWeight(name, (tensor.dims ?? []).map(Number), peakOf(elementsOf(tensor))));
  const constant = constantOutputs(graph, constants);
  for (const one of graph.node ?? []) {
    const behind: NodeProto[] = [];
    const divisor = one.opType === 'Div' ? values[one.input?.[1] ?? ''] : undefined;
    one.input = (one.input ?? []).map((name) => taken.get(name) ?? name);
    if (divisor?.type === 'float32') {
      // A board multiplies by a reciprocal that it looks up.
      const inverse = `${one.output?.[0]}${apart}inverse`;
      made.push(node('Reciprocal', [one.input[1] as string], inverse));
      const data = Float32Array.from(numbers(divisor), (value) => 1 / value);
      const grid = gridOf({ ...divisor, data });
      if (grid) made.push(...disturb(inverse, divisor.dims, grid, `${inverse}${apart}noisy`));
      one.opType = 'Mul';
      one.input[1] = grid ? `${inverse}${apart}noisy` : inverse;
    }
    if (how === 'noise') made.push(...withNoisyState(one, values, drawn, scalar));
    // A last state is a row of all states, in their steps.
    const all = recurrent.has(one.opType ?? '') ? values[one.output?.[0] ?? ''] : undefined;
    one.output = (one.output ?? []).map((name, place) => {
      const value = values[name];
      if (constant.has(name)) {
        if (value?.type === 'float32') behind.push(...asWeight(name, value.dims, peakOf(numbers(value))));
        return name;
      }
      const grid = one.opType === 'Softmax' ? softmaxGrid : gridOf(place === 1 && all ? all : value);
      if (!value || !grid) return name;
      // An output keeps its name for the disturbed value, so that it is what comes out.
      const [from, to] = outputs.has(name) ? [`${name}${apart}exact`, name] : [name, `${name}${apart}noisy`];
      behind.push(...disturb(from, value.dims, grid, to));
      taken.set(name, to);
      return from;
    });
    made.push(one, ...behind);
  }
  graph.node = made as Graph['node'];
  graph.initializer = [...(graph.initializer ?? []), ...scalars] as Graph['initializer'];
  graph.input = [...(graph.input ?? []), ...[...drawn].map(floatInput)] as Graph['input'];
  return { bytes: onnx.ModelProto.encode(proto).finish(), drawn };
}

/**
 * A recurrent layer reads its own output of the step before, which a board holds in bytes: noise of its step comes as further
 * inputs, by the weights of the state.
 */
function withNoisyState(
  one: NodeProto,
  values: Readonly<Record<string, Given>>,
  drawn: Map<string, readonly number[]>,
  scalar: (name: string, value: number) => string,
): NodeProto[] {
  const [x = '', w = '', r = ''] = one.input ?? [];
  const all = values[one.output?.[0] ?? ''];
  const dims = values[x.split(apart)[0] as string]?.dims;
  const units = Number(one.attribute?.find(({ name }) => name === 'hidden_size')?.i ?? 0);
  if (!recurrent.has(one.opType ?? '') || !dims || units === 0) return [];
  const to = `${one.output?.find((name) => name !== '')}${apart}state`;
  // Without an output of all steps, a board's range is the whole.
  const step = all ? 1.1 * (gridOf(all)?.step ?? 0) : 2 / 255;
  drawn.set(`${to}${apart}drawn`, [...dims.slice(0, 2), units]);
  one.input = [`${to}${apart}x`, `${to}${apart}w`, ...(one.input ?? []).slice(2)];
  const joined = (inputs: string[], output: string): NodeProto => ({
    ...node('Concat', inputs, output),
    attribute: [{ name: 'axis', type: 2, i: 2 }],
  });
  return [
    node('Mul', [`${to}${apart}drawn`, scalar(`${to}${apart}step`, step)], `${to}${apart}noise`),
    joined([x, `${to}${apart}noise`], `${to}${apart}x`),
    joined([w, r], `${to}${apart}w`),
  ];
}

const node = (opType: string, input: string[], output: string): NodeProto => ({
  opType,
  input,
  output: [output],
});

const floatInput = ([name, dims]: readonly [string, readonly number[]]): onnxProto.onnx.IValueInfoProto => ({
  name,
  type: { tensorType: { elemType: 1, shape: { dim: dims.map((dimValue) => ({ dimValue })) } } },
});

/** The model with every value that its outermost nodes compute among its outputs. */
export function withEveryValue(bytes: Uint8Array): Uint8Array {
  const proto = onnx.ModelProto.decode(bytes);
  const graph = proto.graph as Graph;
  const known = new Set((graph.output ?? []).map(({ name }) => name));
  const names = (graph.node ?? []).flatMap((one) => one.output ?? []).filter((name) => name !== '');
  graph.output = [
    ...(graph.output ?? []),
    ...names.filter((name) => !known.has(name)).map((name) => new onnx.ValueInfoProto({ name })),
  ];
  return onnx.ModelProto.encode(proto).finish();
}

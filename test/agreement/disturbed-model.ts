import onnxProto from 'onnx-proto';
import { type Given, numbers } from './onnxruntime.js';

const { onnx } = onnxProto;
const { AttributeType } = onnx.AttributeProto;
type Graph = onnxProto.onnx.GraphProto;
type NodeProto = onnxProto.onnx.INodeProto;

/** `noise`: up to one step either way, drawn in each run. `round`: to whole steps, as a board holds values. */
export type Disturbance = 'noise' | 'round';

/** Operators whose constants are weights, quantised as such; all others read theirs exactly. */
const weighted = new Set(
  'Conv ConvTranspose Gemm MatMul LSTM GRU Add Sub Mul Div Sum PRelu Max Min Mean'.split(' '),
);

/** One step of the 8-bit scale that a value's own range gives. */
function stepOf(value: Given | undefined): number {
  if (value?.type !== 'float32') return 0;
  const all = numbers(value).filter(Number.isFinite);
  return (all.reduce((a, b) => Math.max(a, b), 0) - all.reduce((a, b) => Math.min(a, b), 0)) / 255;
}

function peakOf(tensor: onnxProto.onnx.ITensorProto): number {
  const raw = tensor.rawData?.length ? new Float32Array(new Uint8Array(tensor.rawData).buffer) : undefined;
  return Array.from(raw ?? tensor.floatData ?? []).reduce((a, b) => Math.max(a, Math.abs(b)), 0);
}

/**
 * The model with nodes that disturb every float activation by its 8-bit step, and with `noise` weights by 0.6 of theirs.
 * Works on the file's own form, apart from our reader and writer. `values` holds each value of one run.
 */
export function disturbedModel(
  bytes: Uint8Array,
  values: Readonly<Record<string, Given>>,
  how: Disturbance,
): Uint8Array {
  const proto = onnx.ModelProto.decode(bytes);
  const graph = proto.graph as Graph;
  const constants = new Map((graph.initializer ?? []).map((tensor) => [tensor.name ?? '', tensor]));
  const outputs = new Set((graph.output ?? []).map(({ name }) => name));
  const steps: onnxProto.onnx.ITensorProto[] = [];
  const taken = new Map<string, string>();
  const made: NodeProto[] = [];
  const disturb = (name: string, step: number, to: string): NodeProto[] => {
    taken.set(name, to);
    const between = `${to}/between`;
    if (how === 'noise') return [drawn(name, step, taken.size, between), node('Add', [name, between], to)];
    steps.push({ name: `${to}/step`, dataType: 1, dims: [], floatData: [step] });
    steps.push({ name: `${to}/half`, dataType: 1, dims: [], floatData: [0.5] });
    // Round is there from operator set 11 on alone.
    return [
      node('Div', [name, `${to}/step`], `${between}/scaled`),
      node('Add', [`${between}/scaled`, `${to}/half`], `${between}/raised`),
      node('Floor', [`${between}/raised`], between),
      node('Mul', [between, `${to}/step`], to),
    ];
  };
  for (const { name } of graph.input ?? []) {
    const step = name && !constants.has(name) ? stepOf(values[name]) : 0;
    if (name && step > 0) made.push(...disturb(name, step, `${name}/noisy`));
  }
  const weights = new Set(
    (graph.node ?? []).filter((one) => weighted.has(one.opType ?? '')).flatMap((one) => one.input ?? []),
  );
  for (const [name, tensor] of constants)
    if (how === 'noise' && tensor.dataType === 1 && weights.has(name) && peakOf(tensor) > 0)
      made.push(...disturb(name, (0.6 * peakOf(tensor)) / 127, `${name}/noisy`));
  for (const one of graph.node ?? []) {
    const behind: NodeProto[] = [];
    one.input = (one.input ?? []).map((name) => taken.get(name) ?? name);
    one.output = (one.output ?? []).map((name) => {
      const step = stepOf(values[name]);
      if (!(step > 0)) return name;
      // An output keeps its name for the disturbed value, so that it is what comes out.
      const [from, to] = outputs.has(name) ? [`${name}/exact`, name] : [name, `${name}/noisy`];
      behind.push(...disturb(from, step, to));
      taken.set(name, to);
      return from;
    });
    made.push(one, ...behind);
  }
  graph.node = made as Graph['node'];
  graph.initializer = [...(graph.initializer ?? []), ...steps] as Graph['initializer'];
  return onnx.ModelProto.encode(proto).finish();
}

const node = (opType: string, input: string[], output: string): NodeProto => ({
  opType,
  input,
  output: [output],
});

const drawn = (like: string, step: number, seed: number, output: string): NodeProto => ({
  ...node('RandomUniformLike', [like], output),
  attribute: [
    { name: 'low', type: AttributeType.FLOAT, f: -step },
    { name: 'high', type: AttributeType.FLOAT, f: step },
    { name: 'seed', type: AttributeType.FLOAT, f: seed },
  ],
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

import onnxProto from 'onnx-proto';
import type { Given } from '../../agreement/onnxruntime.js';

const { onnx } = onnxProto;
const { AttributeType } = onnx.AttributeProto;

export type AttributeDraft =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly text: string }
  | { readonly ints: readonly number[] }
  | { readonly floats: readonly number[] }
  | { readonly texts: readonly string[] };
export type Attributes = Readonly<Record<string, AttributeDraft>>;

export interface NodeDraft {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Attributes;
}

/** As an initialiser, a Constant node, an Identity of an initialiser, or an initialiser that is an input too. */
export type ConstantPlace = 'initializer' | 'node' | 'identity' | 'overridable';

export interface ModelDraft {
  readonly opset: number;
  readonly inputs: ReadonlyMap<string, Given>;
  readonly constants: ReadonlyMap<string, { readonly given: Given; readonly place: ConstantPlace }>;
  readonly nodes: readonly NodeDraft[];
  readonly outputs: readonly string[];
}

const typeNumbers: Readonly<Record<string, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
};

/** The file of a draft, written apart from daemon/network. */
export function encodeModel({ opset, inputs, constants, nodes, outputs }: ModelDraft): Uint8Array {
  const read = new Set([...nodes.flatMap((node) => node.inputs), ...outputs]);
  const initializer: onnxProto.onnx.ITensorProto[] = [];
  const ahead: onnxProto.onnx.INodeProto[] = [];
  const overridable: onnxProto.onnx.IValueInfoProto[] = [];
  for (const [name, { given, place }] of constants) {
    if (!read.has(name)) continue;
    const tensor = tensorProto(given);
    if (place === 'node') {
      const attribute = [{ name: 'value', type: AttributeType.TENSOR, t: tensor }];
      ahead.push({ opType: 'Constant', output: [name], attribute });
    } else if (place === 'identity') {
      initializer.push({ ...tensor, name: `${name}\u0001` });
      ahead.push({ opType: 'Identity', input: [`${name}\u0001`], output: [name] });
    } else {
      initializer.push({ ...tensor, name });
      if (place === 'overridable') overridable.push(valueProto(name, given));
    }
  }
  return onnx.ModelProto.encode({
    irVersion: 7,
    opsetImport: [{ domain: '', version: opset }],
    graph: {
      name: 'drawn',
      input: [...[...inputs].map(([name, given]) => valueProto(name, given)), ...overridable],
      output: outputs.map((name) => ({ name })),
      initializer,
      node: [...ahead, ...nodes.map(nodeProto)],
    },
  }).finish();
}

const nodeProto = ({ op, inputs, outputs, attributes }: NodeDraft): onnxProto.onnx.INodeProto => ({
  opType: op,
  input: [...inputs],
  output: [...outputs],
  attribute: Object.entries(attributes).map(([name, value]) => ({ name, ...attributeProto(value) })),
});

function attributeProto(value: AttributeDraft): onnxProto.onnx.IAttributeProto {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
  if ('int' in value) return { type: AttributeType.INT, i: value.int };
  if ('float' in value) return { type: AttributeType.FLOAT, f: value.float };
  if ('text' in value) return { type: AttributeType.STRING, s: bytes(value.text) };
  if ('ints' in value) return { type: AttributeType.INTS, ints: [...value.ints] };
  if ('floats' in value) return { type: AttributeType.FLOATS, floats: [...value.floats] };
  return { type: AttributeType.STRINGS, strings: value.texts.map(bytes) };
}

function tensorProto({ type, dims, data }: Given): onnxProto.onnx.ITensorProto {
  const { buffer, byteOffset, byteLength } = data as Float32Array;
  return {
    dataType: typeNumbers[type] ?? 0,
    dims: [...dims],
    rawData: new Uint8Array(buffer, byteOffset, byteLength),
  };
}

const valueProto = (name: string, { type, dims }: Given): onnxProto.onnx.IValueInfoProto => ({
  name,
  type: {
    tensorType: { elemType: typeNumbers[type] ?? 0, shape: { dim: dims.map((dimValue) => ({ dimValue })) } },
  },
});

import { type Attribute, elementCount, floatTensor, type Node } from '../../../daemon/network/graph.js';
import { intAttribute } from '../../../daemon/network/shape-rules/rule.js';
import { unsupported } from '../unsupported.js';
import type { Speller } from './speller.js';

type Spelling = (node: Node, speller: Speller) => void;

const without = (node: Node, ...names: readonly string[]): Record<string, Attribute> =>
  Object.fromEntries(Object.entries(node.attributes).filter(([name]) => !names.includes(name)));

/** Biases are integers in steps of the accumulator: the product of both scales. */
function bias(node: Node, speller: Speller, at: number, scales: readonly [number, number]): string[] {
  const name = node.inputs[at];
  if (!name) return [];
  const product = speller.add(
    node,
    'Mul',
    scales.map((i) => node.inputs[i] as string),
  );
  return [speller.add(node, 'DequantizeLinear', [name, product], { axis: 0 })];
}

const convolution: Spelling = (node, speller) => {
  const operands = [speller.real(node, [0, 1, 2]), speller.real(node, [3, 4, 5], 0)];
  const made = speller.add(node, 'Conv', [...operands, ...bias(node, speller, 8, [1, 4])], node.attributes);
  speller.quantise(node, made, [6, 7], 0);
};

const product: Spelling = (node, speller) => {
  const operands = [speller.real(node, [0, 1, 2]), speller.real(node, [3, 4, 5], -1)];
  speller.quantise(node, speller.add(node, 'MatMul', operands), [6, 7], 0);
};

/** Sums of integers as 32 bits are real numbers here, which only a Cast to a float type can tell apart. */
const integers =
  (op: string, axis: number): Spelling =>
  (node, speller) => {
    const name = node.outputs[0] as string;
    const odd = speller
      .readers(name)
      .find((reader) => reader.op !== 'Cast' || ![1, 10, 11, 16].includes(intAttribute(reader, 'to', 0)));
    if (odd || speller.isOutput(name))
      throw unsupported(
        node,
        `its 32-bit sums ${odd ? `are read by ${odd.op}` : 'are an output of the network'}: a Cast to float can follow`,
      );
    const operand = (value: number, zero: number, along?: number): string => {
      const zeros = speller.constant(node.inputs[zero]);
      const count = zeros ? elementCount(zeros.dims) : 1;
      const scale = speller.addConstant(
        `${name}.one`,
        floatTensor(count === 1 ? [] : [count], new Array<number>(count).fill(1)),
      );
      const inputs = [node.inputs[value] ?? '', scale, node.inputs[zero] ?? ''];
      return speller.add(node, 'DequantizeLinear', inputs, along === undefined ? {} : { axis: along });
    };
    speller.add(node, op, [operand(0, 2), operand(1, 3, axis)], node.attributes, name);
  };

const dynamic: Spelling = (node) => {
  throw unsupported(
    node,
    'its scale is found anew from the data of each run',
    'Quantise the network statically, with data for calibration.',
  );
};

const binary =
  (op: string): Spelling =>
  (node, speller) => {
    const operands = [speller.real(node, [0, 1, 2]), speller.real(node, [3, 4, 5])];
    speller.quantise(node, speller.add(node, op, operands), [6, 7], 0);
  };

const unary =
  (op: string): Spelling =>
  (node, speller) => {
    if (intAttribute(node, 'channels_last', 0) !== 0)
      throw unsupported(node, 'its channels lie last (channels_last 1): ONNX has them behind the batch');
    const x = speller.real(node, [0, 1, 2]);
    speller.quantise(node, speller.add(node, op, [x], without(node, 'channels_last')), [3, 4], 0);
  };

/** Names the operator set by whose Softmax it goes: before 13, all axes from `axis` on were one. */
const softmax: Spelling = (node, speller) => {
  const axis = intAttribute(node, 'axis', -1);
  const set = intAttribute(node, 'opset', speller.opset);
  if (set < 13 !== speller.opset < 13 && axis !== -1)
    throw unsupported(
      node,
      `it goes by operator set ${set} along axis ${axis}, the network by ${speller.opset}`,
    );
  const made = speller.add(node, 'Softmax', [speller.real(node, [0, 1, 2])], { axis });
  speller.quantise(node, made, [3, 4], 0);
};

const mean: Spelling = (node, speller) => {
  const axes = node.attributes.axes;
  const x = speller.real(node, [0, 1, 2]);
  // From operator set 18 on the axes are an input.
  const kept = { keepdims: intAttribute(node, 'keepdims', 1) };
  const isList = Array.isArray(axes) && speller.opset >= 18;
  const longs = isList ? BigInt64Array.from(axes as readonly number[], BigInt) : undefined;
  const inputs = longs
    ? [
        x,
        speller.addConstant(`${node.outputs[0]}.axes`, {
          dtype: 'int64',
          dims: [longs.length],
          data: new Uint8Array(longs.buffer),
        }),
      ]
    : [x];
  const made = speller.add(node, 'ReduceMean', inputs, longs || !axes ? kept : { ...kept, axes });
  speller.quantise(node, made, [3, 4], 0);
};

const concat: Spelling = (node, speller) => {
  const parts = Array.from({ length: (node.inputs.length - 2) / 3 }, (_, i) =>
    speller.real(node, [2 + 3 * i, 3 + 3 * i, 4 + 3 * i]),
  );
  speller.quantise(node, speller.add(node, 'Concat', parts, node.attributes), [0, 1], 2);
};

const gemm: Spelling = (node, speller) => {
  const transB = intAttribute(node, 'transB', 0);
  const alpha = Number(node.attributes.alpha ?? 1);
  const operands = [speller.real(node, [0, 1, 2]), speller.real(node, [3, 4, 5], transB ? 0 : 1)];
  const given = bias(node, speller, 6, [1, 4]);
  const factor = speller.addConstant(`${node.outputs[0]}.alpha`, floatTensor([], [alpha]));
  const added = given.map((value) => (alpha === 1 ? value : speller.add(node, 'Mul', [value, factor])));
  const isReal = !node.inputs[7];
  const made = speller.add(
    node,
    'Gemm',
    [...operands, ...added],
    { transA: intAttribute(node, 'transA', 0), transB, alpha },
    isReal ? node.outputs[0] : undefined,
  );
  if (!isReal) speller.quantise(node, made, [7, 8], 0);
};

const productToFloat: Spelling = (node, speller) => {
  const inputs = node.inputs.map((name) => (name === '' ? undefined : name));
  if (!speller.constant(inputs[2]) || !speller.constant(inputs[3])) return dynamic(node, speller);
  const operands = [speller.real(node, [0, 2, 4]), speller.real(node, [1, 3, 5], -1)];
  if (!inputs[6]) speller.add(node, 'MatMul', operands, {}, node.outputs[0]);
  else speller.add(node, 'Add', [speller.add(node, 'MatMul', operands), inputs[6]], {}, node.outputs[0]);
};

/** The pairs themselves stand in onnxruntime's domain too. */
const same: Spelling = (node, speller) => {
  speller.add(node, node.op, node.inputs, node.attributes, node.outputs[0]);
};

const onnx: ReadonlyMap<string, Spelling> = new Map([
  ['QLinearConv', convolution],
  ['QLinearMatMul', product],
  ['ConvInteger', integers('Conv', 0)],
  ['MatMulInteger', integers('MatMul', -1)],
  ['DynamicQuantizeLinear', dynamic],
]);

const microsoft: ReadonlyMap<string, Spelling> = new Map([
  ['QLinearAdd', binary('Add')],
  ['QLinearMul', binary('Mul')],
  ['QLinearSigmoid', unary('Sigmoid')],
  ['QLinearLeakyRelu', unary('LeakyRelu')],
  ['QLinearGlobalAveragePool', unary('GlobalAveragePool')],
  ['QLinearAveragePool', unary('AveragePool')],
  ['QLinearReduceMean', mean],
  ['QLinearConcat', concat],
  ['QLinearSoftmax', softmax],
  ['QLinearConv', convolution],
  ['QGemm', gemm],
  ['MatMulIntegerToFloat', productToFloat],
  ['DynamicQuantizeMatMul', dynamic],
  ['DynamicQuantizeLSTM', dynamic],
  ['QuantizeLinear', same],
  ['DequantizeLinear', same],
]);

export const spellings: ReadonlyMap<string, ReadonlyMap<string, Spelling>> = new Map([
  ['', onnx],
  ['ai.onnx', onnx],
  ['com.microsoft', microsoft],
]);

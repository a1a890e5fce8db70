import { HildaError } from '../../../daemon/core/errors.js';
import { type DType, elementCount, type Node } from '../../../daemon/network/graph.js';
import { closedShape } from '../../../daemon/network/infer-shapes.js';
import { fusedDomain } from '../passes/editable-graph.js';
import type { Prepared } from '../passes/prepare.js';
import { type Quantisation, quantisationOf, type Range } from '../quantise/quantisation.js';
import { byteForm, elementForm, readsBytes, readsWhole, wholeForm } from './element-forms.js';
import { Lowering, type LoweringRule, nodeName, unsupported, wholeOf } from './lowering.js';
import type { Lowered, Port } from './operators.js';
import { cast } from './rules/casts.js';
import { channelAffine } from './rules/channel-affine.js';
import { composedRules } from './rules/composed.js';
import { convolution } from './rules/convolution.js';
import { binary } from './rules/elementwise.js';
import { gather } from './rules/gather.js';
import { concat, expand, reshape, slice, split, tile, transpose } from './rules/layout.js';
import { layerNorm, softmax } from './rules/normalisation.js';
import { pad } from './rules/padding.js';
import { dequantizeLinear, quantizeLinear } from './rules/pairs.js';
import { globalAverage, pooling, reduce } from './rules/pooling.js';
import { linear, matMul } from './rules/products.js';
import { resize } from './rules/resampling.js';
import { transposedConvolution } from './rules/transposed-convolution.js';
import { unary } from './rules/unary.js';
import { channelsLast, elementBytesOf, physicalOrder, rowMajor, type Value } from './value.js';

const each = (names: string, rule: LoweringRule): [string, LoweringRule][] =>
  names.split(' ').map((name) => [name, rule]);

/** ONNX's own operators, and those of others that mean the same. */
const rules: ReadonlyMap<string, LoweringRule> = new Map([
  ...each('Conv', convolution),
  ...each('ConvTranspose', transposedConvolution),
  ...each('MatMul', matMul),
  ...each('Add Sub Mul Div Pow', binary),
  ...each('Relu Clip Sigmoid Tanh Erf Gelu HardSwish Exp Abs Neg Sqrt Softplus', unary),
  ...each('Softmax', softmax),
  ...each('LayerNormalization', layerNorm),
  ...each('MaxPool AveragePool', pooling),
  ...each('GlobalAveragePool', globalAverage),
  ...each('ReduceMean ReduceSum', reduce),
  ...each('Reshape Flatten Squeeze Unsqueeze Identity', reshape),
  ...each('Transpose', transpose),
  ...each('Concat', concat),
  ...each('Slice', slice),
  ...each('Split', split),
  ...each('Expand', expand),
  ...each('Tile', tile),
  ...each('Pad', pad),
  ...each('Resize Upsample', resize),
  ...each('Gather', gather),
  ...each('Cast', cast),
  ...each('QuantizeLinear', quantizeLinear),
  ...each('DequantizeLinear', dequantizeLinear),
  ...composedRules,
]);

/** What the passes make of several nodes (domain `hilda`). */
const fusedRules: ReadonlyMap<string, LoweringRule> = new Map([
  ...each('Linear', linear),
  ...each('MatMul', matMul),
  ...each('ChannelAffine', channelAffine),
  ...each('Gelu GeluTanh HardSwish Swish', unary),
]);

/**
 * A prepared graph as operators over storages. `ranges` are those of the network's activations by name.
 * Throws OPERATOR_UNSUPPORTED with the first operator that cannot be lowered, QUANTISATION_FAILED.
 */
export function lower(
  prepared: Prepared,
  ranges: ReadonlyMap<string, Range> | undefined,
): Lowered & {
  /** The steps in which the network's values lie, by name. */
  readonly held: ReadonlyMap<string, Quantisation>;
} {
  const { graph } = prepared;
  const lowering = new Lowering(prepared, ranges);
  const inputs = defineInputs(lowering);
  for (const node of graph.nodes) {
    const rule = (node.domain === fusedDomain ? fusedRules : rules).get(node.op);
    if (!rule) throw unsupported(node, 'the firmware has no such operator');
    refuseEmpty(node, lowering);
    refuseIntegers(node, lowering);
    rule(node, lowering);
    refuseOthers(node, lowering);
  }
  const outputs = gatherOutputs(lowering);
  return {
    storages: lowering.storages,
    operators: lowering.operators,
    input: regionOf('inputs', inputs),
    output: regionOf('outputs', outputs),
    inputs,
    outputs,
    held: lowering.held(),
  };
}

/** An output that is read, and that the rule does not compute (a mask, indices, statistics of training). */
function refuseOthers(node: Node, lowering: Lowering): void {
  node.outputs.forEach((name, i) => {
    if (name && !lowering.isActivation(name) && lowering.isRead(name))
      throw unsupported(node, `its output ${i} (${name}) is read, which no board computes`);
  });
}

/** A result without elements, as of a pool whose window is larger than its image. */
function refuseEmpty(node: Node, lowering: Lowering): void {
  for (const name of node.outputs) {
    if (!name || !lowering.isRead(name)) continue;
    const dims = lowering.dims(name);
    if (dims.includes(0)) throw unsupported(node, `its result [${dims}] has no elements`);
  }
}

/** Real arithmetic on integers would be another function: only rules that know integers get them. */
function refuseIntegers(node: Node, lowering: Lowering): void {
  for (const name of node.inputs) {
    if (!lowering.isActivation(name)) continue;
    const dtype = lowering.dtype(name);
    const form = elementForm(dtype);
    if (form === 'real' || (form === 'byte' ? readsBytes : readsWhole).has(node.op)) continue;
    throw unsupported(node, `its input ${name} has the type ${dtype}, for which it cannot run`);
  }
}

/** The network's inputs, each with a quantisation of its own; several lie one behind the other in one storage. */
function defineInputs(lowering: Lowering): Port[] {
  const given = lowering.graph.inputs.map((info) => ({
    name: info.name,
    dtype: info.dtype,
    dims: closedShape(info).dims,
    form: elementForm(info.dtype),
  }));
  const [only] = given;
  if (!only) throw new HildaError('OPERATOR_UNSUPPORTED', 'the network has no input');
  const odd = given.find(({ form }) => form === undefined);
  if (odd)
    throw new HildaError(
      'OPERATOR_UNSUPPORTED',
      `the input ${odd.name} has the type ${odd.dtype}, which no board takes`,
      { details: { input: odd.name, dtype: odd.dtype } },
    );
  const quantised = (name: string, dtype: DType): Quantisation =>
    elementForm(dtype) === 'byte'
      ? byteForm(dtype)
      : lowering.range(name) || lowering.fixed.of(name)
        ? lowering.quantisation(name)
        : quantisationOf({ min: -1, max: 1 });
  if (given.length === 1) {
    const { name, dims, dtype, form } = only;
    const x =
      form === 'whole'
        ? lowering.allocateWhole(name, dims)
        : lowering.allocate(name, dims, quantised(name, dtype));
    return [portOf(lowering, name, lowering.define(name, x))];
  }
  const sizes = given.map(({ dims, form }) => elementCount(dims) * (form === 'whole' ? 4 : 1));
  const whole = lowering.allocate('inputs', [total(sizes)], rawBytes);
  return given.map(({ name, dims, dtype, form }, i) => {
    const at = { storage: whole.storage, offset: total(sizes.slice(0, i)), dims };
    const x: Value =
      form === 'whole'
        ? {
            ...at,
            strides: rowMajor(dims).map((stride) => 4 * stride),
            quantisation: wholeForm,
            elementBytes: 4,
          }
        : {
            ...at,
            strides: dims.length === 4 ? channelsLast(dims) : rowMajor(dims),
            quantisation: quantised(name, dtype),
          };
    return portOf(lowering, name, lowering.define(name, x));
  });
}

/** The network's outputs; several are brought together, one behind the other, each with a quantisation of its own. */
function gatherOutputs(lowering: Lowering): Port[] {
  const { graph } = lowering;
  const made = graph.outputs.map(({ name }) => {
    const node = graph.nodes.find(({ outputs }) => outputs.includes(name));
    if (!node)
      throw new HildaError('OPERATOR_UNSUPPORTED', `the network computes nothing for its output ${name}`);
    return { node, name, value: presented(node, lowering, lowering.value({ ...node, inputs: [name] }, 0)) };
  });
  const [only] = made;
  if (!only) throw new HildaError('OPERATOR_UNSUPPORTED', 'the network has no output');
  // A program has one operator at least: where nothing else is to do, the input is copied.
  if (made.length === 1 && lowering.operators.length > 0) return [portOf(lowering, only.name, only.value)];
  const sizes = made.map(({ value }) => elementCount(value.dims) * elementBytesOf(value));
  const whole = lowering.allocate('outputs', [total(sizes)], rawBytes);
  return made.map(({ node, name, value }, i) => {
    const moved = { ...value, storage: whole.storage, offset: total(sizes.slice(0, i)) };
    lowering.emit({
      name: nodeName(node),
      body: { kind: 'copy' },
      reads: [{ view: wholeOf(value), access: 'rows' }],
      write: wholeOf(moved),
    });
    return portOf(lowering, name, moved);
  });
}

const total = (sizes: readonly number[]): number => sizes.reduce((sum, size) => sum + size, 0);

/** Of bytes that are several values, each with its own. */
const rawBytes: Quantisation = { scale: 1, zeroPoint: 0 };

const portOf = (lowering: Lowering, name: string, value: Value): Port => ({
  name,
  dtype: lowering.portType(name),
  elementBytes: value.elementBytes ?? 1,
  dims: value.dims,
  view: wholeOf(value),
  layout: isRowMajor(value) ? 'row-major' : 'channels-last',
  quantisation: value.quantisation,
});

/** The one port, or the bytes that all of them lie in. */
function regionOf(name: string, ports: readonly Port[]): Port {
  const [first] = ports as readonly [Port];
  if (ports.length === 1) return first;
  const bytes = total(ports.map(({ dims, elementBytes }) => elementCount(dims) * elementBytes));
  const view = { ...first.view, offset: 0, rowStride: bytes, width: bytes };
  return {
    name,
    dtype: 'int8',
    elementBytes: 1,
    dims: [bytes],
    view,
    layout: 'row-major',
    quantisation: rawBytes,
  };
}

/** A value dense, in one of the two orders that a port can have. */
function presented(node: Node, lowering: Lowering, value: Value): Value {
  const dense = lowering.dense(node, value);
  const axes = value.dims.map((_, axis) => axis);
  return isRowMajor(dense) || liesIn(dense, [0, ...axes.slice(2), 1])
    ? dense
    : lowering.arranged(node, value, axes);
}

const isRowMajor = (value: Value): boolean =>
  liesIn(
    value,
    value.dims.map((_, axis) => axis),
  );

/** Whether the axes lie in this order, outermost first; those of one element lie anywhere. */
const liesIn = (value: Value, order: readonly number[]): boolean => {
  const wanted = order.filter((axis) => value.dims[axis] !== 1);
  const found = physicalOrder(value).filter((axis) => value.dims[axis] !== 1);
  return wanted.every((axis, i) => axis === found[i]);
};

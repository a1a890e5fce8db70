import { elementCount, type Node, type Tensor } from '../../../../daemon/network/graph.js';
import { axisOf, intAttribute } from '../../../../daemon/network/shape-rules/rule.js';
import { integersOf } from '../../quantise/linear-quantisation.js';
import { type Quantisation, quantise } from '../../quantise/quantisation.js';
import { byteForm, elementForm } from '../element-forms.js';
import { type Lowering, type LoweringRule, nodeName, unsupported } from '../lowering.js';
import type { View } from '../operators.js';
import { reshaped, rowMajor, transposed, type Value } from '../value.js';
import { joined } from './layout.js';

/** Gather with constant indices, which only chooses; or of rows of a constant table by indices that the network makes. */
export const gather: LoweringRule = (node, lowering) => {
  const [data, indices] = node.inputs as [string, string];
  if (!lowering.isActivation(indices)) choose(node, lowering);
  else if (lowering.isActivation(data))
    throw unsupported(
      node,
      'both its data and its indices depend on the input: one of them must be constant',
    );
  else lookUp(node, lowering);
};

function choose(node: Node, lowering: Lowering): void {
  const x = lowering.value(node, 0);
  const axis = axisOf(node, intAttribute(node, 'axis', 0), x.dims.length);
  const size = x.dims[axis] as number;
  const given = lowering.integers(node.inputs[1]);
  if (!given) throw unsupported(node, `its indices ${node.inputs[1]} are no short constant of integers`);
  const chosen = given.map((index) => (index < 0 ? index + size : index));
  const odd = chosen.find((index) => index < 0 || index >= size);
  if (odd !== undefined) throw unsupported(node, `it chooses element ${odd} of ${size}`);
  if (chosen.length === 0) throw unsupported(node, 'it chooses nothing');
  const name = node.outputs[0] as string;
  const runs = runsOf(chosen).map(({ first, count, step }): Value => {
    const stride = x.strides[axis] as number;
    return {
      ...x,
      offset: x.offset + first * stride,
      dims: x.dims.map((old, i) => (i === axis ? count : old)),
      strides: x.strides.map((old, i) => (i === axis ? old * step : old)),
    };
  });
  const [only] = runs as [Value];
  if (runs.length > 1 && x.elementBytes)
    throw unsupported(node, 'its indices follow no one step, and its elements are whole numbers');
  const dims = x.dims.map((old, i) => (i === axis ? chosen.length : old));
  const found =
    runs.length === 1
      ? only
      : joined(node, lowering, runs, { name, axis, dims, quantisation: x.quantisation });
  const wanted = lowering.dims(name);
  const order = found.dims.map((_, i) => i);
  const y = reshaped(found, wanted) ?? reshaped(lowering.arranged(node, found, order), wanted);
  if (!y) throw unsupported(node, `[${found.dims}] cannot become [${wanted}]`);
  lowering.define(name, y);
}

/** Indices as runs of one step forwards, each as long as it can be. */
function runsOf(indices: readonly number[]): { first: number; count: number; step: number }[] {
  const runs: { first: number; count: number; step: number }[] = [];
  for (const index of indices) {
    const last = runs.at(-1);
    const step = last && index - last.first - (last.count - 1) * last.step;
    if (last && step !== undefined && step > 0 && (last.count === 1 || step === last.step)) {
      last.step = step;
      last.count++;
    } else runs.push({ first: index, count: 1, step: 1 });
  }
  return runs;
}

/** Most rows and bytes a row of a table (ABI.md, GATHER). */
const mostRows = 2 ** 20;

function lookUp(node: Node, lowering: Lowering): void {
  const [dataName, indexName] = node.inputs as [string, string];
  const name = node.outputs[0] as string;
  const data = lowering.graph.initializers.get(dataName);
  if (!data) throw unsupported(node, 'its table is no constant');
  const axis = axisOf(node, intAttribute(node, 'axis', 0), data.dims.length);
  const rows = data.dims[axis] as number;
  if (rows === 0 || rows > mostRows)
    throw unsupported(node, `its table has ${rows} rows, 1 to ${mostRows} can be`);
  if (elementForm(lowering.dtype(indexName)) !== 'whole')
    throw unsupported(node, `its indices have the type ${lowering.dtype(indexName)}`);
  const { elements, quantisation, elementBytes } = tableOf(node, lowering, dataName, data);
  const others = data.dims.filter((_, other) => other !== axis);
  const width = elementCount(others) * elementBytes;
  const given = lowering.value(node, 1);
  const index = lowering.arranged(
    node,
    given,
    given.dims.map((_, i) => i),
  );
  const count = elementCount(index.dims);
  // Rows of the other axes, one for each index: the table's axes around `axis` then take their places.
  const dims = [...index.dims, ...others];
  const y =
    elementBytes === 4
      ? lowering.allocateWhole(name, dims)
      : lowering.allocate(
          name,
          dims,
          quantisation,
          dims.map((_, i) => i),
        );
  const view = (of: Value, bytes: number): View => ({
    storage: of.storage,
    offset: of.offset,
    batch: 1,
    batchStride: 0,
    rows: count,
    rowStride: bytes,
    width: bytes,
  });
  lowering.emit({
    name: nodeName(node),
    body: { kind: 'gather', table: rowsFirst(elements, data.dims, axis, elementBytes), rows },
    reads: [{ view: view(index, 4), access: 'all' }],
    write: view(y, width),
  });
  const before = others.slice(0, axis).map((_, i) => index.dims.length + i);
  const perm = [
    ...before,
    ...index.dims.map((_, i) => i),
    ...others.slice(axis).map((_, i) => index.dims.length + axis + i),
  ];
  lowering.define(name, transposed(y, perm));
}

/** A table's elements as a board holds them, and what they stand for. */
function tableOf(
  node: Node,
  lowering: Lowering,
  name: string,
  data: Tensor,
): { readonly elements: Int8Array; readonly quantisation: Quantisation; readonly elementBytes: 1 | 4 } {
  const form = elementForm(data.dtype);
  if (form === 'real') {
    const floats = lowering.floats(name);
    if (!floats) throw unsupported(node, 'its table is no constant of float32');
    const quantisation = lowering.quantisation(node.outputs[0] as string);
    return {
      elements: Int8Array.from(floats, (v) => quantise(v, quantisation)),
      quantisation,
      elementBytes: 1,
    };
  }
  if (form === 'byte') {
    const shift = data.dtype === 'uint8' ? 128 : 0;
    const elements = Int8Array.from(data.data, (byte) => byte - shift);
    return { elements, quantisation: byteForm(data.dtype), elementBytes: 1 };
  }
  const whole = data.dtype === 'int64' ? longs(node, data) : integersOf(data);
  if (!whole) throw unsupported(node, `its table has the type ${data.dtype}`);
  const quantisation = { scale: 1, zeroPoint: 0 };
  return {
    elements: new Int8Array(whole.buffer, whole.byteOffset, 4 * whole.length),
    quantisation,
    elementBytes: 4,
  };
}

function longs(node: Node, { data }: Tensor): Int32Array {
  const given = new BigInt64Array(new Uint8Array(data).buffer);
  const odd = given.find((value) => BigInt.asIntN(32, value) !== value);
  if (odd !== undefined) throw unsupported(node, `its table holds ${odd}, more than an int32 does`);
  return Int32Array.from(given, Number);
}

/** The elements with `axis` outermost. */
function rowsFirst(elements: Int8Array, dims: readonly number[], axis: number, bytes: number): Int8Array {
  if (axis === 0) return elements;
  const strides = rowMajor(dims);
  const inner = strides[axis] as number;
  const size = dims[axis] as number;
  const out = new Int8Array(elements.length);
  const count = elements.length / bytes;
  for (let i = 0; i < count; i++) {
    const place = Math.floor(i / inner) % size;
    const outer = Math.floor(i / (inner * size));
    const to = place * (count / size) + outer * inner + (i % inner);
    out.set(elements.subarray(i * bytes, (i + 1) * bytes), to * bytes);
  }
  return out;
}

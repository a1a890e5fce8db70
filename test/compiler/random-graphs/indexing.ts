import type { Draft, NodeDraft } from './draft.js';
import { anyValue } from './elementwise.js';
import type { Attributes } from './model.js';

/** Operators that pick, place, count or compare elements: hosts run them, boards may refuse them. Scalars have no axis. */
const out = (node: NodeDraft): string => node.outputs[0] as string;

function indicesInto(d: Draft, dims: readonly number[], length: number): string {
  const count = dims.reduce((a, b) => a * b, 1);
  const draw = (): bigint =>
    BigInt(d.opset >= 11 && d.chance(0.2) ? -d.int(1, length) : d.int(0, length - 1));
  return d.constant({ type: 'int64', dims, data: BigInt64Array.from({ length: count }, draw) });
}

const gatherElements = (d: Draft): NodeDraft[] | undefined => {
  if (d.opset < 11) return undefined;
  const x = anyValue(d);
  if (d.dims(x).length === 0) return undefined;
  const dims = d.dims(x);
  const axis = d.axis(dims.length);
  const length = dims.at(axis) as number;
  const wanted = dims.map((size, i) => (i === (axis + dims.length) % dims.length ? d.int(1, 4) : size));
  return [d.node('GatherElements', [x, indicesInto(d, wanted, length)], { axis: { int: axis } })];
};

const gatherND = (d: Draft): NodeDraft[] | undefined => {
  if (d.opset < 12) return undefined;
  const x = anyValue(d);
  if (d.dims(x).length === 0) return undefined;
  const dims = d.dims(x);
  const depth = d.int(1, dims.length);
  const least = Math.min(...dims.slice(0, depth));
  return [d.node('GatherND', [x, indicesInto(d, [d.int(1, 3), depth], least)])];
};

const scatterElements = (d: Draft): NodeDraft[] | undefined => {
  if (d.opset < 11) return undefined;
  const x = anyValue(d);
  if (d.dims(x).length === 0) return undefined;
  const dims = d.dims(x);
  const axis = d.axis(dims.length);
  const wanted = dims.map(() => 1);
  const reduction: Attributes = d.opset >= 16 && d.chance(0.3) ? { reduction: { text: 'add' } } : {};
  const inputs = [x, indicesInto(d, wanted, dims.at(axis) as number), d.weight(wanted)];
  return [d.node('ScatterElements', inputs, { axis: { int: axis }, ...reduction })];
};

const topK = (d: Draft): NodeDraft[] | undefined => {
  if (d.opset < 11) return undefined;
  const x = anyValue(d);
  if (d.dims(x).length === 0) return undefined;
  const axis = d.axis(d.dims(x).length);
  const k = d.int(1, d.dims(x).at(axis) as number);
  const largest: Attributes = d.chance(0.3) ? { largest: { int: 0 } } : {};
  return [d.node('TopK', [x, d.ints([k])], { axis: { int: axis }, ...largest }, 2)];
};

const cumSum = (d: Draft): NodeDraft[] | undefined => {
  if (d.opset < 11) return undefined;
  const x = anyValue(d);
  if (d.dims(x).length === 0) return undefined;
  const axis = d.constant({
    type: 'int64',
    dims: [],
    data: BigInt64Array.of(BigInt(d.axis(d.dims(x).length))),
  });
  return [
    d.node('CumSum', [x, axis], {
      ...(d.chance(0.3) && { exclusive: { int: 1 } }),
      ...(d.chance(0.3) && { reverse: { int: 1 } }),
    }),
  ];
};

const trilu = (d: Draft): NodeDraft[] | undefined => {
  if (d.opset < 14) return undefined;
  const x = d.valueOr(
    (dims) => dims.length >= 2,
    () => [d.int(1, 4), d.int(1, 5)],
  );
  const k = d.constant({ type: 'int64', dims: [], data: BigInt64Array.of(BigInt(d.int(-1, 2))) });
  const upper: Attributes = d.chance(0.5) ? { upper: { int: d.int(0, 1) } } : {};
  return [d.node('Trilu', d.chance(0.5) ? [x] : [x, k], upper)];
};

const einsum = (d: Draft): NodeDraft[] | undefined => {
  if (d.opset < 12) return undefined;
  const x = d.valueOr(
    (dims) => dims.length === 3,
    () => [d.int(1, 3), d.int(1, 4), d.int(1, 5)],
  );
  const [batch, , depth] = d.dims(x) as [number, number, number];
  const [equation, dims] = d.pick([
    ['bij,jk->bik', [depth, 3]],
    ['bij,bkj->bik', [batch, 2, depth]],
    ['bij,j->bi', [depth]],
  ] as const);
  return [d.node('Einsum', [x, d.weight(dims, 0.6, x)], { equation: { text: equation } })];
};

/** Sizes and masks that exporters compute: counts, ranges, fills, comparisons and changes of type. */
const computed = (d: Draft): NodeDraft[] | undefined => {
  const x = anyValue(d);
  const how = d.int(0, 3);
  if (how === 0) return [d.node(d.pick(['Size', 'Shape']), [x])];
  if (how === 1 && d.opset >= 9) {
    const shape = d.node('Shape', [x]);
    const zeros = d.node('ConstantOfShape', [out(shape)]);
    return [shape, zeros, d.node('Add', [x, out(zeros)])];
  }
  if (how === 2) {
    const whole = d.node('Cast', [x], { to: { int: d.pick([6, 7]) } });
    return [whole, d.node('Cast', [out(whole)], { to: { int: 1 } })];
  }
  if (d.opset < 9) return undefined;
  const test = d.node(d.pick(['Greater', 'Less']), [x, d.scalar(0)]);
  const mask = d.chance(0.5) ? [] : [d.node('Not', [out(test)])];
  return [test, ...mask, d.node('Cast', [out(mask[0] ?? test)], { to: { int: 1 } })];
};

export const indexingMakers = [
  gatherElements,
  gatherND,
  scatterElements,
  topK,
  cumSum,
  trilu,
  einsum,
  computed,
  computed,
];

import type { Draft, NodeDraft } from './draft.js';
import type { Attributes } from './model.js';

/** Matrix products, attention as exporters write it, and recurrent layers. */
const out = (node: NodeDraft): string => node.outputs[0] as string;

const gemm = (d: Draft): NodeDraft[] => {
  const a = d.valueOr(
    (dims) => dims.length === 2,
    () => [d.pick([1, 1, 2, 5]), d.int(1, 9)],
  );
  const [rows, columns] = d.dims(a) as [number, number];
  const transA = d.chance(0.2);
  const depth = transA ? rows : columns;
  const transB = d.chance(0.5);
  const width = d.int(1, 9);
  const b = d.weight(transB ? [width, depth] : [depth, width], 0.6, a);
  const c = d.pick([
    [width],
    [1, width],
    [1],
    [transA ? columns : rows, width],
    [transA ? columns : rows, 1],
  ]);
  const inputs = d.opset >= 11 && d.chance(0.3) ? [a, b] : [a, b, d.weight(c, 0.4, a)];
  return [
    d.node('Gemm', inputs, {
      ...(transA && { transA: { int: 1 } }),
      ...(transB && { transB: { int: 1 } }),
      ...(d.chance(0.3) && { alpha: { float: d.pick([0.5, 2, -1]) } }),
      ...(d.chance(0.3) && { beta: { float: d.pick([0.5, 0, 2]) } }),
    }),
  ];
};

const matMul = (d: Draft): NodeDraft[] => {
  const a = d.valueOr(
    (dims) => dims.length >= 2 || (dims.length === 1 && d.chance(0.1)),
    () => [d.pick([1, 2, 3]), d.int(1, 6), d.int(1, 8)],
  );
  const dims = d.dims(a);
  const depth = dims.at(-1) as number;
  const width = d.int(1, 8);
  const batch = dims.slice(0, -2);
  const how = d.rng.next();
  if (how < 0.5) return [d.node('MatMul', [a, d.weight([depth, width], 0.6, a)])];
  if (how < 0.6 && dims.length >= 2)
    return [d.node('MatMul', [d.weight([d.int(1, 5), dims.at(-2) as number], 0.6, a), a])];
  if (how < 0.7) return [d.node('MatMul', [a, d.weight([...batch, depth, width], 0.6, a)])];
  if (how < 0.75) return [d.node('MatMul', [a, d.weight([depth], 0.6, a)])];
  const fits = (other: readonly number[]): boolean =>
    other.length === dims.length &&
    other.at(-2) === depth &&
    other.slice(0, -2).every((n, i) => n === batch[i]);
  return [d.node('MatMul', [a, d.value(fits) ?? d.input([...batch, depth, width])])];
};

/** A product with its bias, factor and limit behind it, as exporters leave them. */
const chain = (d: Draft): NodeDraft[] => {
  const a = d.valueOr(
    (dims) => dims.length >= 2,
    () => [1, d.int(1, 5), d.int(1, 8)],
  );
  const width = d.int(1, 7);
  const product = d.node('MatMul', [a, d.weight([d.dims(a).at(-1) as number, width], 0.6, a)]);
  const behind = d.node(d.pick(['Add', 'Mul', 'Sub', 'Div']), [
    out(product),
    d.chance(0.5) ? d.weight([width], 0.6, a) : d.scalar(0.4),
  ]);
  return d.chance(0.5)
    ? [product, behind]
    : [product, behind, d.node(d.pick(['Relu', 'Neg', 'Sigmoid']), [out(behind)])];
};

const attention = (d: Draft): NodeDraft[] => {
  const x = d.valueOr(
    (dims) => dims.length === 3,
    () => [d.pick([1, 1, 2]), d.int(2, 5), d.pick([2, 4, 6])],
  );
  const [batch, tokens, width] = d.dims(x) as [number, number, number];
  const heads = d.pick([1, 2].filter((n) => width % n === 0));
  const each = width / heads;
  const part = (transposed: boolean): NodeDraft[] => {
    const product = d.node('MatMul', [x, d.weight([width, width], 0.5, x)]);
    const split = d.node('Reshape', [out(product), d.ints([batch, tokens, heads, each])]);
    const perm = transposed ? [0, 2, 3, 1] : [0, 2, 1, 3];
    return [product, split, d.node('Transpose', [out(split)], { perm: { ints: perm } })];
  };
  const [q, k, v] = [part(false), part(true), part(false)];
  const last = (nodes: NodeDraft[]): string => out(nodes.at(-1) as NodeDraft);
  const scores = d.node('MatMul', [last(q), last(k)]);
  const scaled = d.node(d.pick(['Mul', 'Div']), [out(scores), d.scalar(d.pick([0.5, 2]))]);
  const weights = d.node('Softmax', [out(scaled)], { axis: { int: d.opset >= 11 ? -1 : 3 } });
  const mixed = d.node('MatMul', [out(weights), last(v)]);
  const back = d.node('Transpose', [out(mixed)], { perm: { ints: [0, 2, 1, 3] } });
  const joined = d.node('Reshape', [out(back), d.ints([batch, tokens, width])]);
  return [...q, ...k, ...v, scores, scaled, weights, mixed, back, joined];
};

const recurrent = (d: Draft): NodeDraft[] => {
  const op = d.pick(['LSTM', 'GRU', 'LSTM', 'GRU', 'RNN']);
  const gates = { LSTM: 4, GRU: 3, RNN: 1 }[op] as number;
  const x = d.valueOr(
    (dims) => dims.length === 3,
    () => [d.int(1, 4), d.pick([1, 1, 2]), d.int(1, 6)],
  );
  const layout = d.opset >= 14 && d.chance(0.1) ? 1 : 0;
  const [first, second, width] = d.dims(x) as [number, number, number];
  const batch = layout === 1 ? first : second;
  const hidden = d.int(1, 5);
  const direction = d.pick(['forward', 'forward', 'reverse', 'bidirectional']);
  const ways = direction === 'bidirectional' ? 2 : 1;
  const state = (): string =>
    layout === 1 ? d.weight([batch, ways, hidden], 0.4, x) : d.weight([ways, batch, hidden], 0.4, x);
  const inputs = [
    x,
    d.weight([ways, gates * hidden, width], 0.5, x),
    d.weight([ways, gates * hidden, hidden], 0.5, x),
  ];
  inputs.push(d.chance(0.6) ? d.weight([ways, 2 * gates * hidden], 0.3, x) : '');
  inputs.push('', d.chance(0.3) ? state() : '');
  if (op === 'LSTM')
    inputs.push(d.chance(0.3) ? state() : '', d.chance(0.15) ? d.weight([ways, 3 * hidden], 0.3, x) : '');
  while (inputs.at(-1) === '') inputs.pop();
  const attributes: Attributes = {
    hidden_size: { int: hidden },
    ...(direction !== 'forward' && { direction: { text: direction } }),
    ...(layout === 1 && { layout: { int: 1 } }),
    ...(op === 'GRU' && d.chance(0.5) && { linear_before_reset: { int: 1 } }),
    ...(d.chance(0.1) && { clip: { float: d.pick([0.5, 2]) } }),
    ...(op === 'LSTM' && d.chance(0.05) && { input_forget: { int: 1 } }),
  };
  return [d.node(op, inputs, attributes, d.int(1, op === 'LSTM' ? 3 : 2))];
};

export const productMakers = [gemm, gemm, matMul, matMul, chain, attention, recurrent, recurrent];

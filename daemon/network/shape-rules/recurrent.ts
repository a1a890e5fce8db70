import { axisOf, intAttribute, invalid, type Rule, type RuleInput, rules, stringAttribute } from './rule.js';

/** LSTM, GRU and RNN. */

const gates: ReadonlyMap<string, number> = new Map([
  ['LSTM', 4],
  ['GRU', 3],
  ['RNN', 1],
]);

/** Sizes of a recurrent layer. Throws ONNX_INVALID where inputs and weights contradict each other. */
export function recurrentSizes(input: RuleInput): {
  readonly gates: number;
  readonly directions: number;
  readonly length: number;
  readonly batch: number;
  readonly width: number;
  readonly hidden: number;
} {
  const { node } = input;
  const [x, w, r] = [input.shape(0).dims, input.shape(1).dims, input.shape(2).dims];
  const direction = stringAttribute(node, 'direction', 'forward');
  if (!['forward', 'reverse', 'bidirectional'].includes(direction))
    throw invalid(input, `the direction ${direction} does not exist`);
  const directions = direction === 'bidirectional' ? 2 : 1;
  const [count, width, hidden] = [gates.get(node.op) ?? 1, x[2], r[2]];
  if (width === undefined || hidden === undefined || x.length !== 3)
    throw invalid(input, `[${x}], weights [${w}] and recurrence weights [${r}] must have three axes`);
  if (
    w.join() !== [directions, count * hidden, width].join() ||
    r.join() !== [directions, count * hidden, hidden].join() ||
    intAttribute(node, 'hidden_size', hidden) !== hidden
  )
    throw invalid(
      input,
      `weights [${w}] and recurrence weights [${r}] do not fit [${x}] in ${directions} directions`,
    );
  const [length, batch] = batchFirst(input) ? [x[1], x[0]] : [x[0], x[1]];
  return { gates: count, directions, length: length as number, batch: batch as number, width, hidden };
}

/** `layout` 1 (from opset 14) puts the batch first everywhere. */
const batchFirst = (input: RuleInput): boolean =>
  input.opset >= 14 && intAttribute(input.node, 'layout', 0) === 1;

const recurrent: Rule = (input) => {
  const { directions, length, batch, hidden } = recurrentSizes(input);
  const { dtype } = input.shape(0);
  const [all, last] = batchFirst(input)
    ? [
        [batch, length, directions, hidden],
        [batch, directions, hidden],
      ]
    : [
        [length, directions, batch, hidden],
        [directions, batch, hidden],
      ];
  const state = { dtype, dims: last };
  return [{ dtype, dims: all }, state, ...(input.node.op === 'LSTM' ? [state] : [])];
};

/** Query, key and value hold their heads side by side; the state is one matrix a head. */
const linearAttention: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  const [heads, kvHeads] = [
    intAttribute(input.node, 'q_num_heads', 0),
    intAttribute(input.node, 'kv_num_heads', 0),
  ];
  const [key, value] = [input.shape(1).dims[2] as number, input.shape(2).dims[2] as number];
  axisOf(input, 2, dims.length);
  if (heads <= 0 || kvHeads <= 0 || key % kvHeads !== 0 || value % kvHeads !== 0)
    throw invalid(input, `widths ${key} and ${value} do not part into ${kvHeads} heads`);
  const state = [dims[0] as number, kvHeads, key / kvHeads, value / kvHeads];
  return [
    { dtype, dims: [dims[0] as number, dims[1] as number, (heads * value) / kvHeads] },
    { dtype: input.has(3) ? input.shape(3).dtype : dtype, dims: state },
  ];
};

export const recurrentRules = [
  ...rules(7, 'GRU LSTM RNN', recurrent),
  ...rules(27, 'LinearAttention', linearAttention),
];

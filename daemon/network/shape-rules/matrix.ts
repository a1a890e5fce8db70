import {
  attributeSince,
  broadcast,
  intAttribute,
  invalid,
  ownAttribute,
  type Rule,
  type RuleInput,
  rules,
} from './rule.js';

/** Products of matrices and contractions. */

const gemm: Rule = (input) => {
  const a = input.shape(0);
  const b = input.shape(1).dims;
  if (a.dims.length !== 2 || b.length !== 2)
    throw invalid(input, `needs matrices, got [${a.dims}] and [${b}]`);
  const [m, k] = intAttribute(input.node, 'transA', 0) ? [a.dims[1], a.dims[0]] : a.dims;
  const [k2, n] = intAttribute(input.node, 'transB', 0) ? [b[1], b[0]] : b;
  if (k !== k2) throw invalid(input, `inner sizes ${k} and ${k2} differ`);
  const dims = [m as number, n as number];
  // Before opset 7 an attribute allows it.
  const fixed = input.opset < 7 && intAttribute(input.node, 'broadcast', 0) === 0;
  if (fixed && input.shape(2).dims.join() !== dims.join())
    throw invalid(input, `the summand [${input.shape(2).dims}] is not [${dims}]`);
  if (input.has(2) && broadcast(input, dims, input.shape(2).dims).join() !== dims.join())
    throw invalid(input, `the summand [${input.shape(2).dims}] does not fit [${dims}]`);
  return [{ dtype: a.dtype, dims }];
};

/** Shape of a product of stacks of matrices; a vector stands for a row in front and a column behind. */
export function productDims(input: RuleInput, a: readonly number[], b: readonly number[]): number[] {
  if (a.length === 0 || b.length === 0) throw invalid(input, `needs at least vectors, got [${a}] and [${b}]`);
  const left = a.length === 1 ? [1, ...a] : [...a];
  const right = b.length === 1 ? [...b, 1] : [...b];
  if (left.at(-1) !== right.at(-2)) throw invalid(input, `inner sizes of [${a}] and [${b}] differ`);
  return [
    ...broadcast(input, left.slice(0, -2), right.slice(0, -2)),
    ...(a.length === 1 ? [] : [left.at(-2) as number]),
    ...(b.length === 1 ? [] : [right.at(-1) as number]),
  ];
}

const matMul: Rule = (input) => [
  { dtype: input.shape(0).dtype, dims: productDims(input, input.shape(0).dims, input.shape(1).dims) },
];

const matMulInteger: Rule = (input) => [
  { dtype: 'int32', dims: productDims(input, input.shape(0).dims, input.shape(1).dims) },
];

/** a, its scale and zero point, then b with its own, then those of the product, whose zero point tells the type. */
const qLinearMatMul: Rule = (input) => [
  { dtype: input.shape(7).dtype, dims: productDims(input, input.shape(0).dims, input.shape(3).dims) },
];

/** Determinants of a stack of square matrices. */
const det: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  if (dims.length < 2 || dims.at(-1) !== dims.at(-2))
    throw invalid(input, `[${dims}] holds no square matrices`);
  return [{ dtype, dims: dims.slice(0, -2) }];
};

/** An equation of Einsum taken apart; `...` is one label for each axis that it stands for, `.0` outermost. */
export interface Contraction {
  /** Labels of each operand's axes. */
  readonly operands: readonly (readonly string[])[];
  readonly output: readonly string[];
  readonly sizes: ReadonlyMap<string, number>;
}

/** Reads Einsum's equation against its inputs. Throws ONNX_INVALID where they do not fit. */
export function contraction(input: RuleInput): Contraction {
  const equation = ownAttribute(input.node, 'equation');
  if (typeof equation !== 'string') throw invalid(input, 'the attribute equation is missing');
  const [left = '', right, ...more] = equation.replaceAll(' ', '').split('->');
  const terms = left.split(',');
  if (more.length > 0 || terms.length !== input.node.inputs.length)
    throw invalid(input, `the equation ${equation} does not fit ${input.node.inputs.length} inputs`);
  const lettersOf = (term: string): string[] => [...term.replace('...', '')];
  if (![...terms, right ?? ''].every((term) => /^[A-Za-z]*(\.\.\.)?[A-Za-z]*$/.test(term)))
    throw invalid(input, `the equation ${equation} is malformed`);
  const widths = terms.map((term, i) => input.shape(i).dims.length - lettersOf(term).length);
  terms.forEach((term, i) => {
    const width = widths[i] as number;
    if (term.includes('...') ? width < 0 : width !== 0)
      throw invalid(input, `the term ${term} does not fit [${input.shape(i).dims}]`);
  });
  const widest = Math.max(0, ...widths);
  const ellipsis = (width: number): string[] =>
    Array.from({ length: width }, (_, i) => `.${i + widest - width}`);
  const labelsOf = (term: string, width: number): string[] => {
    const at = term.indexOf('...');
    return at < 0 ? [...term] : [...term.slice(0, at), ...ellipsis(width), ...term.slice(at + 3)];
  };
  const operands = terms.map((term, i) => labelsOf(term, widths[i] as number));
  const sizes = new Map<string, number>();
  operands.forEach((labels, i) => {
    labels.forEach((label, axis) => {
      const [size, before = 1] = [input.shape(i).dims[axis] as number, sizes.get(label)];
      if (size !== before && size !== 1 && before !== 1)
        throw invalid(input, `${label} stands for ${before} and for ${size}`);
      sizes.set(label, before === 1 ? size : before);
    });
  });
  // Without an arrow: the labels that occur once, in alphabetical order, behind the ellipsis.
  const all = operands.flat().filter((label) => label.length === 1);
  const implicit = [...new Set(all)].filter((label) => all.indexOf(label) === all.lastIndexOf(label)).sort();
  const output = right === undefined ? [...ellipsis(widest), ...implicit] : labelsOf(right, widest);
  const stray = output.find((label) => !sizes.has(label));
  if (stray !== undefined || new Set(output).size < output.length)
    throw invalid(input, `the output of the equation ${equation} is malformed`);
  return { operands, output, sizes };
}

const einsum: Rule = (input) => {
  const { output, sizes } = contraction(input);
  return [{ dtype: input.shape(0).dtype, dims: output.map((label) => sizes.get(label) as number) }];
};

/** Scaled dot products of queries with keys, weighed values; 3-D inputs hold their heads side by side. */
export const attention: Rule = (input) => {
  attributeSince(input, 'left_window_size', 25);
  const heads = (i: number, name: string): number[] => {
    const { dims } = input.shape(i);
    if (dims.length === 4) return [...dims];
    const count = intAttribute(input.node, name, 0);
    const [batch, length, width] = dims as [number, number, number];
    if (dims.length !== 3 || count <= 0 || width % count !== 0)
      throw invalid(input, `[${dims}] does not hold ${count} heads (${name})`);
    return [batch, count, length, width / count];
  };
  const [q, k, v] = [heads(0, 'q_num_heads'), heads(1, 'kv_num_heads'), heads(2, 'kv_num_heads')];
  const [batch, queryHeads, length] = q as [number, number, number];
  const [, kvHeads, given, size] = k as [number, number, number, number];
  const width = v[3] as number;
  const total = given + (input.has(4) ? (input.shape(4).dims[2] as number) : 0);
  const { dtype } = input.shape(0);
  return [
    {
      dtype,
      dims:
        input.shape(0).dims.length === 4
          ? [batch, queryHeads, length, width]
          : [batch, length, queryHeads * width],
    },
    { dtype: input.shape(1).dtype, dims: [batch, kvHeads, total, size] },
    { dtype: input.shape(2).dtype, dims: [batch, kvHeads, total, width] },
    { dtype, dims: [batch, queryHeads, length, total] },
  ];
};

export const matrixRules = [
  ...rules(1, 'Gemm', gemm),
  ...rules(1, 'MatMul', matMul),
  ...rules(10, 'MatMulInteger', matMulInteger),
  ...rules(10, 'QLinearMatMul', qLinearMatMul),
  ...rules(11, 'Det', det),
  ...rules(12, 'Einsum', einsum),
  ...rules(23, 'Attention', attention),
];

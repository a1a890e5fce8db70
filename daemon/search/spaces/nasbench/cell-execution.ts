/** NAS-Bench-201's cell: node 0 is the input, node 3 the output (Dong and Yang 2020, section 2.1). */
export const cellEdges: readonly (readonly [from: number, to: number])[] = [
  [0, 1],
  [0, 2],
  [1, 2],
  [0, 3],
  [1, 3],
  [2, 3],
];
export const cellOperators = [
  'none',
  'skip_connect',
  'nor_conv_1x1',
  'nor_conv_3x3',
  'avg_pool_3x3',
] as const;
const outputNode = 3;
const [none, skip, , , pool] = [0, 1, 2, 3, 4];

/** What a runtime executes of a cell: the edges whose operator runs, and how many tensors are added up. */
export interface ExecutedCell {
  /** The operator of each edge, 0 where it does not run. */
  readonly operators: readonly number[];
  readonly additions: number;
}

/** An eager runtime runs every operator; `none` writes zeros and takes part in the sums. */
export const runEagerly = (cell: readonly number[]): ExecutedCell => ({
  operators: cell,
  additions: cell.filter((op) => op !== none).length - 1,
});

/** A runtime that prunes: what no path of operators leads on from to the output does not run. */
export function runPruned(cell: readonly number[]): ExecutedCell {
  const needed = new Set([outputNode]);
  for (const i of [5, 4, 3, 2, 1, 0]) {
    const [from, to] = cellEdges[i] as readonly [number, number];
    if (cell[i] !== none && needed.has(to)) needed.add(from);
  }
  const operators = cell.map((op, i) =>
    needed.has((cellEdges[i] as readonly [number, number])[1]) ? op : none,
  );
  return { operators, additions: additionsOf(operators) };
}

const additionsOf = (operators: readonly number[]): number =>
  [1, 2, 3].reduce((sum, node) => {
    const terms = cellEdges.filter(([, to], i) => to === node && operators[i] !== none).length;
    return sum + Math.max(0, terms - 1);
  }, 0);

interface Value {
  readonly kind: 'input' | 'convolution' | 'pool' | 'sum';
  /** The edge whose operator makes it; -1 for sums and inputs. */
  readonly edge: number;
  readonly from: readonly number[];
}

/**
 * A compiling runtime (TFLite, by its measured latencies) takes `none` as a multiplication by zero. It folds one that
 * follows a convolution into the convolution's weights, which then still runs; every other one becomes a constant, is
 * dropped from sums, and what led to it is pruned.
 */
export function runFolded(cell: readonly number[]): ExecutedCell {
  const folds = new Map<number, boolean>();
  // Whether a later edge reads a convolution depends on what sums before it were folded to: node by node.
  for (const sources of [[0], [1, 2]]) {
    const { values, reads } = trace(cell, (edge) => folds.get(edge) ?? true);
    for (const edge of sources) {
      const made = reads.filter(({ value }) => values[value]?.edge === edge);
      folds.set(edge, made.length > 0 && made.every(({ byZero }) => byZero));
    }
  }
  const { values, output } = trace(cell, (edge) => folds.get(edge) ?? false);
  const needed = new Set<number>();
  const stack = output === undefined ? [] : [output];
  for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
    if (needed.has(at)) continue;
    needed.add(at);
    stack.push(...(values[at] as Value).from);
  }
  const run = [...needed].map((at) => values[at] as Value);
  return {
    operators: cell.map((op, i) => (run.some(({ edge }) => edge === i) ? op : none)),
    additions: run.reduce((sum, { kind, from }) => sum + (kind === 'sum' ? from.length - 1 : 0), 0),
  };
}

/** The cell's values in order, who reads them, and the output's value; undefined stands for a constant zero. */
function trace(
  cell: readonly number[],
  folds: (edge: number) => boolean,
): {
  readonly values: readonly Value[];
  readonly reads: readonly { readonly value: number; readonly byZero: boolean }[];
  readonly output: number | undefined;
} {
  const values: Value[] = [{ kind: 'input', edge: -1, from: [] }];
  const reads: { value: number; byZero: boolean }[] = [];
  const make = (value: Value): number => values.push(value) - 1;
  const nodes: (number | undefined)[] = [0];
  for (let node = 1; node <= outputNode; node++) {
    const terms: number[] = [];
    const folded = new Set(
      cellEdges.flatMap(([from, to], i) => (to === node && cell[i] === none ? zeroedWith(nodes[from]) : [])),
    );
    cellEdges.forEach(([from, to], edge) => {
      if (to !== node) return;
      const source = nodes[from];
      const op = cell[edge];
      if (op === none) {
        if (source === undefined) return;
        reads.push({ value: source, byZero: true });
        const { kind, edge: maker } = values[source] as Value;
        if (kind === 'convolution' && folds(maker) && !folded.has(source))
          terms.push(make({ kind, edge: -1, from: [source] }));
      } else if (op === skip) {
        if (source !== undefined) terms.push(source);
      } else {
        if (source !== undefined) reads.push({ value: source, byZero: false });
        const kind = op === pool ? 'pool' : 'convolution';
        terms.push(make({ kind, edge, from: source === undefined ? [] : [source] }));
      }
    });
    if (terms.length > 1) for (const value of terms) reads.push({ value, byZero: false });
    nodes.push(terms.length > 1 ? make({ kind: 'sum', edge: -1, from: terms }) : terms[0]);
  }
  /** A sum that is multiplied by zero becomes a constant together with the multiplications by zero that feed it. */
  function zeroedWith(source: number | undefined): readonly number[] {
    const value = source === undefined ? undefined : values[source];
    if (value?.kind !== 'sum') return [];
    return value.from.flatMap((term) =>
      values[term]?.kind === 'convolution' && values[term]?.edge === -1 ? (values[term]?.from ?? []) : [],
    );
  }
  const output = nodes[outputNode];
  if (output !== undefined) reads.push({ value: output, byZero: false });
  return { values, reads, output };
}

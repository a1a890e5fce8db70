import type { Graph, Node, Tensor } from '../../../network/graph.js';
import { inferShapes } from '../../../network/infer-shapes.js';
import { intAttribute, intsAttribute } from '../../../network/shape-rules/rule.js';

/** Where a width that may be cut stands in a constant: `unit` neighbouring entries of an axis make one of its parts. */
export interface Cut {
  readonly axis: number;
  readonly unit: number;
}

/**
 * A width inside a network that nothing outside depends on: the hidden width of an MLP, or the number of attention
 * heads. `parts`: how many units (neurons, heads) there are; cutting keeps the first ones everywhere.
 */
export interface WidthGroup {
  readonly kind: 'hidden' | 'heads';
  /** The first linear layer's constant. */
  readonly name: string;
  readonly parts: number;
  /** Constants to be cut, by name. */
  readonly cuts: ReadonlyMap<string, Cut>;
  /** Reshape targets that state the width: node name and place in the list; `unit` entries a part. */
  readonly reshapes: ReadonlyMap<string, { readonly at: number; readonly unit: number }>;
}

interface Label {
  readonly group: number;
  readonly axis: number;
  readonly unit: number;
}

interface Draft {
  readonly name: string;
  readonly width: number;
  heads: number | undefined;
  ended: boolean;
  broken: boolean;
  readonly cuts: Map<string, Cut>;
  readonly reshapes: Map<string, { at: number; unit: number }>;
}

const elementwise = new Set([
  'Relu',
  'LeakyRelu',
  'Gelu',
  'Erf',
  'Tanh',
  'Sigmoid',
  'HardSwish',
  'HardSigmoid',
  'Clip',
  'Identity',
  'Dropout',
  'Elu',
]);

const binary = new Set(['Add', 'Sub', 'Mul', 'Div']);

/**
 * Finds the widths of an ONNX network that can be cut (InstaTune, Sridhar et al. 2023, section 3.1: heads and
 * intermediate widths). From every product with a constant matrix a label follows the new width through elementwise
 * operators, reshapes into heads, transpositions and products of heads, until another constant matrix takes it in. What
 * meets anything else on its way cannot be cut and is left out.
 */
export function widthGroups(graph: Graph): WidthGroup[] {
  const shapes = inferShapes(graph);
  const dimsOf = (name: string): readonly number[] => shapes.get(name)?.dims ?? [];
  const constantOf = (name: string): Tensor | undefined => graph.initializers.get(name);
  const drafts: Draft[] = [];
  const parent: number[] = [];
  const rootOf = (g: number): number => (parent[g] === g ? g : rootOf(parent[g] as number));
  const draftOf = (g: number): Draft => drafts[rootOf(g)] as Draft;
  const labels = new Map<string, Label>();
  const breakGroup = (label: Label | undefined): void => {
    if (label) draftOf(label.group).broken = true;
  };
  /** Two labelled values meet: one group from now on. */
  const unite = (a: Label, b: Label): void => {
    const [keep, gone] = [rootOf(a.group), rootOf(b.group)];
    const [one, two] = [drafts[keep] as Draft, drafts[gone] as Draft];
    if (keep === gone) return;
    if (one.width !== two.width || one.heads !== two.heads) {
      one.broken = true;
      two.broken = true;
      return;
    }
    parent[gone] = keep;
    for (const [name, cut] of two.cuts) one.cuts.set(name, cut);
    for (const [name, place] of two.reshapes) one.reshapes.set(name, place);
    one.ended ||= two.ended;
    one.broken ||= two.broken;
  };

  for (const node of graph.nodes) {
    const [x = '', y = ''] = node.inputs;
    const [a, b] = [labels.get(x), labels.get(y)];
    const [out = ''] = node.outputs;
    const matrix = constantOf(y);
    if (node.op === 'MatMul' && matrix && matrix.dims.length === 2) {
      if (a) {
        // The width ends here: rows of the matrix.
        if (a.axis === dimsOf(x).length - 1) {
          draftOf(a.group).cuts.set(y, { axis: 0, unit: a.unit });
          draftOf(a.group).ended = true;
        } else breakGroup(a);
      }
      const group = drafts.length;
      drafts.push({
        name: y,
        width: matrix.dims[1] as number,
        heads: undefined,
        ended: false,
        broken: false,
        cuts: new Map([[y, { axis: 1, unit: 1 }]]),
        reshapes: new Map(),
      });
      parent.push(group);
      labels.set(out, { group, axis: dimsOf(out).length - 1, unit: 1 });
      continue;
    }
    if (!a && !b && !node.inputs.some((name) => labels.has(name))) continue;
    const label = follow(node, a, b);
    if (label) labels.set(out, label);
    else for (const name of node.inputs) breakGroup(labels.get(name));
  }
  for (const { name } of graph.outputs) breakGroup(labels.get(name));

  function follow(node: Node, a: Label | undefined, b: Label | undefined): Label | undefined {
    const [x = '', y = ''] = node.inputs;
    const [out = ''] = node.outputs;
    if (elementwise.has(node.op) && a) return a;
    if (binary.has(node.op)) {
      if (a && b) {
        if (a.axis !== b.axis || a.unit !== b.unit) return undefined;
        unite(a, b);
        return a;
      }
      const [label, name, labelled] = a ? [a, y, x] : [b as Label, x, y];
      const constant = constantOf(name);
      if (!constant) return undefined;
      const rank = dimsOf(labelled).length;
      const axis = label.axis - (rank - constant.dims.length);
      // A constant that spans the width is cut with it; one that is broadcast along it stays.
      if (axis >= 0 && constant.dims[axis] !== 1)
        draftOf(label.group).cuts.set(name, { axis, unit: label.unit });
      return label;
    }
    if (node.op === 'Softmax' && a) {
      const rank = dimsOf(x).length;
      const axis = intAttribute(node, 'axis', -1);
      return (axis < 0 ? axis + rank : axis) === a.axis ? undefined : a;
    }
    if (node.op === 'Transpose' && a) {
      const perm = intsAttribute(node, 'perm') ?? [];
      return { ...a, axis: perm.indexOf(a.axis) };
    }
    if (node.op === 'MatMul' && a && b) {
      // Heads are a batch axis of both factors.
      const rank = dimsOf(out).length;
      if (a.axis !== b.axis || a.axis >= rank - 2 || a.unit !== b.unit) return undefined;
      unite(a, b);
      return a;
    }
    if (node.op === 'Reshape' && a) return followReshape(node, a);
    return undefined;
  }

  function followReshape(node: Node, label: Label): Label | undefined {
    const [x = '', target = ''] = node.inputs;
    const [out = ''] = node.outputs;
    const [before, after] = [dimsOf(x), dimsOf(out)];
    const draft = draftOf(label.group);
    if (!constantOf(target)) return undefined;
    const head = before.slice(0, label.axis);
    const rest = before.slice(label.axis + 1);
    const width = before[label.axis] as number;
    const same = (p: readonly number[], q: readonly number[]): boolean =>
      p.length === q.length && p.every((n, i) => n === q[i]);
    // [.., heads x d] -> [.., heads, d]
    if (rest.length === 0 && after.length === before.length + 1 && same(head, after.slice(0, -2))) {
      const [heads, d] = after.slice(-2) as [number, number];
      if (heads * d !== width || draft.heads !== undefined) return undefined;
      draft.heads = heads;
      for (const [name, cut] of draft.cuts) draft.cuts.set(name, { ...cut, unit: d });
      draft.reshapes.set(node.name, { at: after.length - 2, unit: 1 });
      return { ...label, axis: after.length - 2, unit: 1 };
    }
    // [.., heads, d] -> [.., heads x d]
    if (rest.length === 1 && after.length === before.length - 1 && same(head, after.slice(0, -1))) {
      const [d] = rest as [number];
      if (after.at(-1) !== width * d) return undefined;
      draft.reshapes.set(node.name, { at: after.length - 1, unit: d });
      return { ...label, axis: after.length - 1, unit: d };
    }
    return undefined;
  }

  return drafts.flatMap((draft, g): WidthGroup[] => {
    if (rootOf(g) !== g || draft.broken || !draft.ended) return [];
    const parts = draft.heads ?? draft.width;
    const { name, cuts, reshapes } = draft;
    return parts > 1
      ? [{ kind: draft.heads === undefined ? 'hidden' : 'heads', name, parts, cuts, reshapes }]
      : [];
  });
}

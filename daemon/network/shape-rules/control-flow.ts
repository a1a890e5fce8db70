import { HildaError } from '../../core/errors.js';
import type { Graph } from '../graph.js';
import {
  axisOf,
  intAttribute,
  intsAttribute,
  invalid,
  isGraph,
  ownAttribute,
  type Rule,
  type RuleInput,
  type RuleOutput,
  rules,
  unknownShape,
  unsupported,
} from './rule.js';

/** If, Loop and Scan: shapes where they are the same for every run of the graph. */

/** The graph that an attribute holds. */
function graphAttribute(input: RuleInput, name: string): Graph {
  const graph = ownAttribute(input.node, name);
  if (!isGraph(graph)) throw invalid(input, `the attribute ${name} holds no graph`);
  return graph;
}

const sameShape = (a: RuleOutput | undefined, b: RuleOutput | undefined): boolean =>
  a !== undefined && b !== undefined && a.dtype === b.dtype && a.dims.join() === b.dims.join();

/** The branch that a constant condition takes; undefined where the condition is not known. */
export function takenBranch(input: RuleInput): Graph | undefined {
  const condition = input.constant(0);
  if (condition?.length !== 1) return undefined;
  return graphAttribute(input, condition[0] ? 'then_branch' : 'else_branch');
}

/**
 * The shapes of a branch that may never run. Its contents may contradict these inputs in a valid model: one branch a sample
 * rate, say. That is no fault of the model, but leaves the shapes open.
 */
function perhapsTaken(input: RuleInput, name: string): readonly RuleOutput[] {
  try {
    return input.inner(graphAttribute(input, name), []);
  } catch (error) {
    if (!(error instanceof HildaError) || error.code !== 'ONNX_INVALID') throw error;
    throw unknownShape(input, `its ${name} does not fit (${error.message}): needs a constant condition`);
  }
}

const branch: Rule = (input) => {
  const taken = takenBranch(input);
  if (taken) return input.inner(taken, []);
  const [yes, no] = ['then_branch', 'else_branch'].map((name) => perhapsTaken(input, name)) as [
    readonly RuleOutput[],
    readonly RuleOutput[],
  ];
  return input.node.outputs.map((_, i) => {
    const [a, b] = [yes[i], no[i]];
    if (!sameShape(a, b))
      throw unknownShape(
        input,
        `its branches give [${a?.dims ?? '?'}] and [${b?.dims ?? '?'}]: needs a constant condition`,
      );
    const constant = a?.constant?.join() === b?.constant?.join() ? a?.constant : undefined;
    return { ...withoutElements(a as RuleOutput), constant };
  });
};

const withoutElements = ({ dtype, dims }: RuleOutput): RuleOutput => ({ dtype, dims });

/** How often a Loop runs: known where the count is constant and nothing ends it early. */
export interface Loop {
  readonly body: Graph;
  readonly trips: number | undefined;
  readonly bound: readonly RuleOutput[];
  readonly outputs: readonly RuleOutput[];
}

/** Infers the body of a Loop once; its carried values must keep their shapes. */
export function loopOf(input: RuleInput): Loop {
  const body = graphAttribute(input, 'body');
  const carried = input.node.inputs.slice(2).map((_, i) => withoutElements(input.shape(i + 2)));
  const condition = input.has(1) ? input.constant(1)?.[0] : 1;
  const most = input.has(0) ? input.constant(0)?.[0] : undefined;
  // Assumed to be true inside; it stays so where the body then computes a true condition.
  const running: RuleOutput = { dtype: 'bool', dims: [], ...(condition === 1 && { constant: [1] }) };
  const bound = [{ dtype: 'int64', dims: [] } as RuleOutput, running, ...carried];
  const [again, ...outputs] = input.inner(body, bound);
  carried.forEach((before, i) => {
    const after = outputs[i];
    if (!sameShape(before, after))
      throw unknownShape(
        input,
        `its carried value ${i} changes from [${before.dims}] to [${after?.dims ?? '?'}]`,
      );
  });
  const trips = condition === 0 ? 0 : again?.constant?.[0] === 1 ? most : undefined;
  return { body, trips: trips === undefined ? undefined : Math.max(0, trips), bound, outputs };
}

const loop: Rule = (input) => {
  const { trips, outputs } = loopOf(input);
  const carried = input.node.inputs.length - 2;
  return outputs.map((output, i) => {
    if (i < carried) return withoutElements(output);
    if (trips === undefined) return undefined;
    return { dtype: output.dtype, dims: [trips, ...output.dims] };
  });
};

/** Scan from opset 9 on: states, then inputs that are taken apart along an axis. */
export function scanOf(input: RuleInput): Loop & { readonly states: number; readonly trips: number } {
  if (input.opset < 9) throw unsupported(input, 'Scan of opset 8 is not supported');
  const body = graphAttribute(input, 'body');
  const scanned = intAttribute(input.node, 'num_scan_inputs', 0);
  const states = input.node.inputs.length - scanned;
  if (scanned < 1 || states < 0) throw invalid(input, `num_scan_inputs is ${scanned}`);
  const axes = intsAttribute(input.node, 'scan_input_axes') ?? [];
  const bound = input.node.inputs.map((_, i): RuleOutput => {
    const { dtype, dims } = input.shape(i);
    if (i < states) return { dtype, dims };
    const axis = axisOf(input, axes[i - states] ?? 0, dims.length);
    return { dtype, dims: dims.filter((_, a) => a !== axis) };
  });
  const lengths = input.node.inputs.slice(states).map((_, i) => {
    const { dims } = input.shape(i + states);
    return dims[axisOf(input, axes[i] ?? 0, dims.length)] as number;
  });
  const trips = lengths[0] as number;
  if (lengths.some((length) => length !== trips))
    throw invalid(input, `its inputs have the lengths [${lengths}]`);
  const outputs = input.inner(body, bound);
  bound.slice(0, states).forEach((before, i) => {
    if (!sameShape(before, outputs[i]))
      throw unknownShape(
        input,
        `its state ${i} changes from [${before.dims}] to [${outputs[i]?.dims ?? '?'}]`,
      );
  });
  return { body, trips, bound, outputs, states };
}

const scan: Rule = (input) => {
  const { trips, outputs, states } = scanOf(input);
  const axes = intsAttribute(input.node, 'scan_output_axes') ?? [];
  return outputs.map((output, i) => {
    if (i < states) return withoutElements(output);
    const axis = axisOf(input, axes[i - states] ?? 0, output.dims.length + 1);
    return { dtype: output.dtype, dims: [...output.dims.slice(0, axis), trips, ...output.dims.slice(axis)] };
  });
};

/** Sequences and optionals hold tensors of many shapes: what they give is known only when they run. */
const container: Rule = (input) => {
  throw unknownShape(input, 'makes or reads a sequence or an optional, whose shapes only a run tells');
};

const text: Rule = (input) => {
  throw unknownShape(input, 'the shape of its output follows from the contents of its input');
};

export const controlFlowRules = [
  ...rules(1, 'If', branch),
  ...rules(1, 'Loop', loop),
  ...rules(8, 'Scan', scan),
  ...rules(
    11,
    'ConcatFromSequence SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SplitToSequence',
    container,
  ),
  ...rules(17, 'SequenceMap', container),
  ...rules(15, 'Optional OptionalGetElement', container),
  ...rules(11, 'SequenceLength', () => [{ dtype: 'int64', dims: [] }]),
  ...rules(15, 'OptionalHasElement', () => [{ dtype: 'bool', dims: [] }]),
  ...rules(20, 'ImageDecoder StringSplit', text),
];

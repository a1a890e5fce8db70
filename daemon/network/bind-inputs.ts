import { HildaError } from '../core/errors.js';
import type { Feed, Graph, ValueInfo } from './graph.js';
import { shareSource } from './model-source.js';

export interface InputBindings {
  /** Size by the name that the model gives an open dimension. */
  readonly dims?: Readonly<Record<string, number>>;
  /** All sizes of an input, by its name. */
  readonly shapes?: Readonly<Record<string, readonly number[]>>;
  /** What an input is fed with in timed runs. Elements given fix its shape too. */
  readonly feeds?: ReadonlyMap<string, Feed>;
}

/** A name that exporters give the batch dimension. */
const isBatchName = (symbol: string): boolean => /batch|^(n|bs|b)$/i.test(symbol);

const wrong = (message: string, hint: string): HildaError =>
  new HildaError('REQUEST_INVALID', message, { hint });

/**
 * The network with its open dimensions fixed: by shape, by the name of a dimension, and 1 for an open batch. A batch is the
 * leading dimension of an input of two or more, or one that the model calls so. Dimensions of one name get one size. The
 * graph keeps the file it was read from: a runtime takes the sizes from what it is fed with.
 * Throws REQUEST_INVALID for bindings that do not fit, SHAPE_UNKNOWN for dimensions that stay open (all are named).
 */
export function bindInputs(graph: Graph, { dims = {}, shapes = {}, feeds }: InputBindings = {}): Graph {
  const sizes = new Map(Object.entries(dims));
  const given = new Map(Object.entries(shapes));
  for (const [name, feed] of feeds ?? []) if ('dims' in feed && !given.has(name)) given.set(name, feed.dims);
  checkNames(graph, sizes, given, feeds);
  for (const input of graph.inputs) takeShape(input, given.get(input.name), sizes);
  const batches = new Set(graph.inputs.filter(({ dims }) => dims.length >= 2).map(({ dims }) => dims[0]));
  const open: string[] = [];
  const inputs = graph.inputs.map((input): ValueInfo => {
    if (input.container) return input;
    const shape = given.get(input.name);
    if (input.unranked && !shape) {
      open.push(`${input.name} (no shape at all)`);
      return input;
    }
    const declared: ValueInfo['dims'] = input.unranked && shape ? shape : input.dims;
    const fixed = declared.map((dim, axis) => {
      if (typeof dim === 'number') return dim;
      const size = shape?.[axis] ?? (dim === null ? undefined : sizes.get(dim));
      if (size !== undefined) return size;
      const isBatch =
        dim === null ? axis === 0 && declared.length >= 2 : batches.has(dim) || isBatchName(dim);
      if (isBatch) return 1;
      open.push(`dimension ${axis}${dim === null ? '' : ` "${dim}"`} of ${input.name}`);
      return dim;
    });
    const { unranked: _, ...rest } = input;
    return declared === input.dims && fixed.every((dim, axis) => dim === input.dims[axis])
      ? input
      : { ...rest, dims: fixed };
  });
  if (open.length > 0) throw stillOpen(open, inputs);
  return shareSource({ ...graph, inputs, ...(feeds && feeds.size > 0 && { feeds }) }, graph);
}

/** The sizes that an input's shape gives to the dimensions that the model names. */
function takeShape(
  { name, dims, unranked }: ValueInfo,
  shape: readonly number[] | undefined,
  sizes: Map<string, number>,
): void {
  if (!shape) return;
  if (shape.some((size) => !Number.isSafeInteger(size) || size < 1))
    throw wrong(
      `the shape [${shape}] of ${name} has a size that is no positive whole number`,
      'Sizes count from 1.',
    );
  if (unranked) return;
  const declared = `[${dims.map((dim) => dim ?? '?').join(', ')}]`;
  const misfit =
    shape.length !== dims.length || dims.some((dim, i) => typeof dim === 'number' && dim !== shape[i]);
  if (misfit)
    throw wrong(
      `the shape [${shape.join(', ')}] does not fit the input ${name}, which is ${declared}`,
      'Give one size a dimension; fixed ones cannot change.',
    );
  for (const [i, dim] of dims.entries()) {
    if (typeof dim !== 'string') continue;
    const known = sizes.get(dim);
    if (known !== undefined && known !== shape[i])
      throw wrong(`the dimension ${dim} would be ${known} and, in ${name}, ${shape[i]}`, 'Give it one size.');
    sizes.set(dim, shape[i] as number);
  }
}

function checkNames(
  { inputs, overridable = [] }: Graph,
  sizes: ReadonlyMap<string, number>,
  given: ReadonlyMap<string, readonly number[]>,
  feeds: ReadonlyMap<string, Feed> | undefined,
): void {
  const symbols = new Set(inputs.flatMap(({ dims }) => dims.filter((dim) => typeof dim === 'string')));
  for (const [symbol, size] of sizes) {
    if (!symbols.has(symbol))
      throw wrong(
        `the model has no open dimension ${symbol}`,
        symbols.size > 0
          ? `Its open dimensions: ${[...symbols].join(', ')}.`
          : 'None of its dimensions has a name: give a shape.',
      );
    if (!Number.isSafeInteger(size) || size < 1)
      throw wrong(`the dimension ${symbol} would be ${size}`, 'Sizes count from 1.');
  }
  const names = new Set(inputs.map(({ name }) => name));
  // Constants that a caller may replace have their shapes already.
  const replaceable = new Set(overridable.map(({ name }) => name));
  for (const name of [...given.keys(), ...(feeds?.keys() ?? [])])
    if (!names.has(name) && !(feeds?.has(name) && replaceable.has(name)))
      throw wrong(`the model has no input ${name}`, `Its inputs: ${[...names].join(', ')}.`);
}

function stillOpen(open: readonly string[], inputs: readonly ValueInfo[]): HildaError {
  const example = inputs
    .filter(({ dims, unranked }) => unranked || dims.some((dim) => typeof dim !== 'number'))
    .map(({ name, dims, unranked }) => `--shape ${name}=${unranked ? '1,…' : dims.map((dim) => dim ?? '?')}`);
  return new HildaError('SHAPE_UNKNOWN', `the model leaves sizes open: ${open.join('; ')}`, {
    hint: `Give them with --dim NAME=SIZE or ${example.join(' ')}.`,
    details: { open },
  });
}

import { HildaError } from '../../daemon/core/errors.js';
import { bindInputs } from '../../daemon/network/bind-inputs.js';
import { countCost } from '../../daemon/network/cost.js';
import type { Graph, Tensor } from '../../daemon/network/graph.js';
import { inferShapes } from '../../daemon/network/infer-shapes.js';
import { readOnnx } from '../../daemon/network/read-onnx.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { feeds, type OnnxCase } from './onnx-cases.js';
import { type Given, Oracle, runOnce } from './onnxruntime.js';
import { combined, difference, judged, ok, skipped, type Verdict, wrong } from './verdict.js';

/** The graph with its inputs' sizes as the stored inputs have them; the inputs named in `constant` become constants. */
export function closed(graph: Graph, given: OnnxCase['inputs'], constant: ReadonlySet<string>): Graph {
  const free = graph.inputs.filter(({ name }) => !constant.has(name));
  const shapes = Object.fromEntries(
    free.flatMap(({ name, container }) => {
      const dims = container ? undefined : given.get(name)?.dims;
      return dims?.every((size) => size > 0) ? [[name, dims]] : [];
    }),
  );
  if (constant.size === 0) return bindInputs(graph, { shapes });
  const constants = [...constant].map((name): [string, Tensor] => [
    name,
    constantOf(given.get(name) as Given),
  ]);
  return bindInputs(
    { ...graph, inputs: free, initializers: new Map([...graph.initializers, ...constants]) },
    { shapes },
  );
}

const constantOf = ({ type, dims, data }: Given): Tensor => {
  const elements = data as Exclude<Given['data'], string[]>;
  return {
    dtype: type as Tensor['dtype'],
    dims,
    data: new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength),
  };
};

/**
 * Which inputs stand as constants: none; all but the first; where there are more than two, each but the last as well.
 * Models keep shapes, axes and weights as constants where the tests feed them.
 */
export function constantChoices({ inputs }: OnnxCase): ReadonlySet<string>[] {
  const names = [...inputs.keys()];
  const usable = names.every((name) => inputs.get(name) && inputs.get(name)?.type !== 'string');
  if (names.length < 2 || !usable) return [new Set()];
  return [new Set<string>(), new Set(names.slice(1))];
}

/** A value that inference leaves open: a request for its shape is refused. */
const unknown = (name: string): Verdict => ({
  is: 'refused',
  code: 'SHAPE_UNKNOWN',
  why: `${name} is left open`,
});

/** Inferred shapes and types of the outputs against what is stored; costs must be countable or refused. */
export async function shapesStage(test: OnnxCase): Promise<Verdict> {
  const graph = readOnnx(test.bytes);
  if ([...test.outputs.values()].every((value) => value === null)) return skipped('no output is a tensor');
  // A size of 0 counts as open: an input without elements would measure nothing.
  if ([...test.inputs.values()].some((value) => value?.data.length === 0 && value.dims.length > 1))
    return skipped('an input has no elements');
  const choices = constantChoices(test).map((constant) => () => {
    const network = closed(graph, test.inputs, constant);
    const shapes = inferShapes(network);
    for (const [name, stored] of test.outputs) {
      if (!stored) continue;
      const found = shapes.get(name);
      if (!found) return unknown(name);
      if (found.dims.join() !== stored.dims.join())
        return wrong(`${name} got the shape [${found.dims}], it is [${stored.dims}]`);
      if (found.dtype !== stored.type)
        return wrong(`${name} got the type ${found.dtype}, it is ${stored.type}`);
    }
    try {
      countCost(network);
    } catch (error) {
      if (!(error instanceof HildaError)) throw error;
    }
    return ok;
  });
  return combined(await Promise.all(choices.map(judged)));
}

/** Written again, the model must load wherever the original does and answer the same. */
export async function rewriteStage(test: OnnxCase): Promise<Verdict> {
  const original = await loaded(test.bytes);
  if (typeof original === 'string') return skipped(original);
  const bytes = writeOnnx(readOnnx(test.bytes));
  const rewritten = await loaded(bytes);
  if (typeof rewritten === 'string') return wrong(`does not load again: ${rewritten}`);
  const given = feeds(test);
  if (!given) return ok;
  const expected = await answers(original, given);
  const answered = await answers(rewritten, given);
  if (!expected || !answered) return expected === answered ? ok : wrong('only one of both runs');
  // Operators that draw at random answer differently each time: their shapes are compared.
  const again = await runOnce(test.bytes, given);
  return compared(
    expected,
    answered,
    (name, why) => why.startsWith('element') && difference(expected[name], again[name]) !== undefined,
  );
}

export function compared(
  expected: Readonly<Record<string, Given>>,
  answered: Readonly<Record<string, Given>>,
  excused: (name: string, why: string) => boolean = () => false,
): Verdict {
  for (const name of new Set([...Object.keys(expected), ...Object.keys(answered)])) {
    const why = difference(answered[name], expected[name]);
    if (why === undefined || excused(name, why)) continue;
    return wrong(`${name}: ${why}`);
  }
  return ok;
}

async function loaded(bytes: Uint8Array): Promise<Oracle | string> {
  try {
    return await Oracle.load(bytes);
  } catch (error) {
    return (error as Error).message.slice(0, 200);
  }
}

async function answers(
  oracle: Oracle,
  given: Readonly<Record<string, Given>>,
): Promise<Record<string, Given> | undefined> {
  try {
    return await oracle.run(given);
  } catch {
    return undefined;
  } finally {
    await oracle.release();
  }
}

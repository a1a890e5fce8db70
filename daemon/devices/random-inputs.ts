import { type ElementArray, elementsFromBytes } from '../core/element-arrays.js';
import { HildaError } from '../core/errors.js';
import { sha256Hex } from '../core/hash.js';
import { type Rng, Xoshiro128 } from '../core/rng.js';
import { elementCount, type Graph, type ValueInfo } from '../network/graph.js';
import { elementsOf, isElementType, isWhole } from '../runtime/element-types.js';
import { indexBound, pairRange } from '../runtime/input-hints.js';
import type { RuntimeTensor, RuntimeTensors } from '../runtime/messages.js';
import { asTensors } from '../runtime/tensors.js';
import type { Drawn, Tensors } from './contract.js';

/** Inputs as a network takes them, drawn from the seed. Throws NETWORK_REJECTED for an input that cannot be fed. */
export function randomInputs(graph: Graph, { seed, count }: Drawn): RuntimeTensors[] {
  const rng = Xoshiro128.fromSeed(seed);
  return Array.from({ length: count }, () =>
    Object.fromEntries(graph.inputs.map((input) => [input.name, randomTensor(graph, input, rng)])),
  );
}

/** The same as the numbers that jobs and `runDeployed` take. */
export const testInputs = (graph: Graph, drawn: Drawn): Tensors[] =>
  randomInputs(graph, drawn).map(asTensors);

/** SHA-256 of an answer: names, sizes and float32 elements. Equal answers have equal hashes, and no others. */
export function answerHash(
  answer: Readonly<Record<string, { dims: readonly number[]; data: ArrayLike<number> }>>,
): string {
  const parts = Object.entries(answer)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, { dims, data }]) => [
      new TextEncoder().encode(JSON.stringify([name, dims])),
      // JSON holds no sign of a zero.
      new Uint8Array(Float32Array.from(data, (value) => value + 0).buffer),
    ]);
  return sha256Hex(Buffer.concat(parts));
}

/** Extremes of the integer types of a byte; other integers that index nothing are 0 or 1. */
const byteRanges: ReadonlyMap<string, readonly [number, number]> = new Map([
  ['int8', [-128, 127]],
  ['uint8', [0, 255]],
]);

function randomTensor(graph: Graph, { name, dtype, dims }: ValueInfo, rng: Rng): RuntimeTensor {
  if (!isElementType(dtype))
    throw new HildaError('NETWORK_REJECTED', `the input ${name} has the type ${dtype}, which cannot be fed`);
  const fixed = dims.map((dim) => (typeof dim === 'number' ? dim : 1));
  const count = elementCount(fixed);
  const chosen = graph.feeds?.get(name);
  if (chosen && 'data' in chosen)
    return { type: dtype, dims: fixed, data: elementsFromBytes(dtype, chosen.data) as ElementArray };
  const whole = isWhole(dtype);
  const rows = whole ? indexBound(graph, name) : undefined;
  const own = whole ? undefined : pairRange(graph, name);
  const [low, high] = chosen
    ? [chosen.low, chosen.high]
    : own
      ? own
      : rows !== undefined
        ? [0, rows - 1]
        : (byteRanges.get(dtype) ?? [0, 1]);
  const draw = (): number =>
    whole ? low + Math.floor(rng.next() * (high - low + 1)) : low + rng.next() * (high - low);
  return { type: dtype, dims: fixed, data: elementsOf(dtype, count, draw) };
}

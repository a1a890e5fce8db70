import type { Calibration, CompiledNetwork } from '../../../firmware-bridge/compiler/index.js';
import { type ElementArray, elementsFromBytes } from '../../core/element-arrays.js';
import { HildaError } from '../../core/errors.js';
import { type Rng, Xoshiro128 } from '../../core/rng.js';
import { elementCount, type Graph, type ValueInfo } from '../../network/graph.js';
import { elementsOf, isElementType, isWhole } from '../../runtime/element-types.js';
import { indexBound, pairRange } from '../../runtime/input-hints.js';
import type { RuntimeTensor, RuntimeTensors } from '../../runtime/messages.js';
import { SessionProcess } from '../../runtime/session-process.js';
import { asInputs } from '../../runtime/tensors.js';
import { valueRanges } from '../../runtime/value-ranges.js';
import type { Calibrating } from '../contract.js';
import { storedRanges } from '../stored-ranges.js';

export interface InputCalibration {
  readonly ranges: Calibration;
  readonly description: string;
}

const randomInputs = 8;

/**
 * Ranges of a network's values: those given, or from the inputs it will see; from random values when none are known,
 * which is said: 0 to 1, the values that the network was bound to or quantises its input for, or whole numbers that are
 * indices of the tables they are looked up in.
 */
export function calibrateOn(
  { calibration = [], ranges }: Calibrating,
  signal: AbortSignal,
): InputCalibration {
  if (ranges) return { description: ranges.source, ranges: storedRanges(ranges) };
  const count = 'feeds' in calibration ? calibration.count : calibration.length;
  return {
    description: count > 0 ? `${count} inputs` : 'random values',
    ranges: async (graph, values, channels) => {
      const runtime = new SessionProcess();
      const feeds = count > 0 ? feedsOf(graph, calibration) : randomFeeds(graph);
      try {
        return await valueRanges(graph, values, feeds, runtime, {
          signal,
          channels,
        });
      } finally {
        await runtime.stop();
      }
    },
  };
}

/** What a compiled network's scales come from, in words. */
export const scalesFrom = (
  { calibrated }: Pick<CompiledNetwork, 'calibrated'>,
  description: string,
): string => (calibrated.length > 0 ? description : 'the network itself');

/** What the prepared graph still takes: an input that nothing reads may be gone. */
async function* feedsOf(
  graph: Graph,
  calibration: NonNullable<Calibrating['calibration']>,
): AsyncIterable<RuntimeTensors> {
  if (!('feeds' in calibration)) {
    yield* calibration.map((tensors) => asInputs(graph, tensors));
    return;
  }
  const names = new Set(graph.inputs.map(({ name }) => name));
  for await (const feed of calibration.feeds())
    yield Object.fromEntries(Object.entries(feed).filter(([name]) => names.has(name)));
}

function randomFeeds(graph: Graph): RuntimeTensors[] {
  const rng = Xoshiro128.fromSeed(1);
  return Array.from({ length: randomInputs }, () =>
    Object.fromEntries(graph.inputs.map((input) => [input.name, randomTensor(graph, input, rng)])),
  );
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

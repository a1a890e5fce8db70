import type { Calibration, CompiledNetwork } from '../../../firmware-bridge/compiler/index.js';
import type { Graph } from '../../network/graph.js';
import type { RuntimeTensors } from '../../runtime/messages.js';
import { SessionProcess } from '../../runtime/session-process.js';
import { asInputs } from '../../runtime/tensors.js';
import { valueRanges } from '../../runtime/value-ranges.js';
import type { Calibrating } from '../contract.js';
import { randomInputs } from '../random-inputs.js';
import { storedRanges } from '../stored-ranges.js';

export interface InputCalibration {
  readonly ranges: Calibration;
  readonly description: string;
}

const randomCount = 8;

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
      const feeds =
        count > 0 ? feedsOf(graph, calibration) : randomInputs(graph, { seed: 1, count: randomCount });
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

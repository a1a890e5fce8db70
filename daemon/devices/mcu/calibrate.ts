import type { Calibration } from '../../../firmware-bridge/compiler/index.js';
import { Xoshiro128 } from '../../core/rng.js';
import { elementCount, type Graph } from '../../network/graph.js';
import type { RuntimeTensors } from '../../runtime/messages.js';
import { SessionProcess } from '../../runtime/session-process.js';
import { valueRanges } from '../../runtime/value-ranges.js';
import type { Tensors } from '../contract.js';

export interface InputCalibration {
  readonly ranges: Calibration;
  readonly description: string;
}

const randomInputs = 8;

/** Ranges of a network's values from the inputs it will see; from random values in 0 to 1 when none are known, which is said. */
export function calibrateOn(inputs: readonly Tensors[], signal: AbortSignal): InputCalibration {
  return {
    description: inputs.length > 0 ? `${inputs.length} inputs` : 'random values',
    ranges: async (graph, values) => {
      const runtime = new SessionProcess();
      try {
        const feeds = inputs.length > 0 ? inputs.map(feedOf) : randomFeeds(graph);
        return await valueRanges(graph, values, feeds, runtime, { signal });
      } finally {
        await runtime.stop();
      }
    },
  };
}

const feedOf = (tensors: Tensors): RuntimeTensors =>
  Object.fromEntries(
    Object.entries(tensors).map(([name, { dims, data }]) => [name, { type: 'float32' as const, dims, data }]),
  );

function randomFeeds(graph: Graph): RuntimeTensors[] {
  const rng = Xoshiro128.fromSeed(1);
  return Array.from({ length: randomInputs }, () =>
    Object.fromEntries(
      graph.inputs.map(({ name, dims }) => {
        const fixed = dims.map((dim) => (typeof dim === 'number' ? dim : 1));
        const data = Float32Array.from({ length: elementCount(fixed) }, () => rng.next());
        return [name, { type: 'float32' as const, dims: fixed, data }];
      }),
    ),
  );
}

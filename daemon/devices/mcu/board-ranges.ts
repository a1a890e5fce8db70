import { type Calibration, type CompilerBoard, compile } from '../../../firmware-bridge/compiler/index.js';
import { asHildaError } from '../../core/errors.js';
import type { Graph } from '../../network/graph.js';
import { type NetworkRanges, recordRanges } from '../stored-ranges.js';

/** Every way in which cores want their weights; what a compiler asks ranges for may depend on it. */
const layouts = ['rows', 'scalar', 'dsp', 'mve'] as const satisfies readonly CompilerBoard['weightLayout'][];

/** What says that a network does not run on boards, or not in int8: then there is nothing to keep. */
const unfit: ReadonlySet<string> = new Set([
  'OPERATOR_UNSUPPORTED',
  'QUANTISATION_FAILED',
  'SHAPE_UNKNOWN',
  'NETWORK_TOO_LARGE',
]);

/**
 * The ranges that compiling a network asks for, whichever board it will be for: with them it is quantised again just as it
 * would be now. Null where no board's compiler takes the network.
 */
export async function boardRanges(
  network: Graph,
  { ask, source }: { readonly ask: Calibration; readonly source: string },
): Promise<NetworkRanges | null> {
  const recorder = recordRanges(ask);
  for (const weightLayout of layouts) {
    const board: CompilerBoard = {
      weightLayout,
      arenaBytes: Number.POSITIVE_INFINITY,
      flashBytes: Number.POSITIVE_INFINITY,
      weightsAt: 'flash',
      poolBytes: 0,
      fetchesInput: false,
    };
    try {
      await compile(network, { board, weights: 'real', calibration: recorder.ask });
    } catch (thrown) {
      const error = asHildaError(thrown);
      if (!unfit.has(error.code)) throw error;
    }
  }
  return recorder.sets.length > 0 ? { schema: 'hilda.ranges.v1', source, sets: recorder.sets } : null;
}

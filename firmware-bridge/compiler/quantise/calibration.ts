import type { Graph } from '../../../daemon/network/graph.js';
import type { Range } from './quantisation.js';

/**
 * Gives the ranges of the network's values over calibration images, by name; of those in `channels`, the ranges along that
 * axis too. Ran by a runtime the compiler does not know.
 */
export type Calibration = (
  graph: Graph,
  values: readonly string[],
  channels?: ReadonlyMap<string, number>,
) => Promise<ReadonlyMap<string, Range>>;

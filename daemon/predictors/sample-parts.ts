import type { Architecture } from '../core/architecture.js';
import type { Space } from '../search/spaces/contract.js';
import { blockParts, type ExecutedOperator, operatorParts } from './operator-parts.js';
import type { PredictorSample } from './predictor-body.js';
import { profilingOverhead, withoutProfiling } from './profiling-overhead.js';

/** What a network executed on the device. */
export interface Profile {
  readonly operators: readonly ExecutedOperator[];
  /** A board counts, which costs the network nothing. */
  readonly counted: boolean;
}

export const notProfiled: Profile = { operators: [], counted: false };

/** Each sample with the costs of its operators and blocks, less what profiling adds to them. */
export function withParts(
  samples: readonly PredictorSample[],
  profiles: readonly Profile[],
  space: Space,
): PredictorSample[] {
  const timed = samples.flatMap(({ value }, i) => {
    const { operators, counted } = profiles[i] as Profile;
    return counted || operators.length === 0 ? [] : [{ operators, whole: value }];
  });
  const added = profilingOverhead(timed);
  return samples.map((sample, i) => {
    const { operators: raw, counted } = profiles[i] as Profile;
    if (raw.length === 0) return sample;
    const operators = counted ? raw : withoutProfiling(raw, added);
    const architecture = sample.architecture as Architecture;
    const network = space.network(architecture);
    const blocks = space.blocks?.(architecture);
    return {
      ...sample,
      parts: operatorParts(operators, network),
      blocks: blocks ? blockParts(operators, network, blocks) : [],
    };
  });
}

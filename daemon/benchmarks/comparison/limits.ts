import type { CostMetric } from '../../core/measurement.js';
import { fits, type SuiteLimit } from '../suites/suite.js';
import { estimateOf } from './ratio.js';
import type { Series } from './series.js';

/** `unclear`: the limit lies within the interval. `absent`: nothing of the run could be held against it. */
export const limitStates = ['kept', 'broken', 'unclear', 'absent'] as const;

export interface LimitOutcome {
  readonly metric: CostMetric;
  readonly max: number;
  /** Null where it is `absent`. */
  readonly network: string | null;
  readonly place: string | null;
  readonly value: number | null;
  readonly interval: readonly [low: number, high: number] | null;
  readonly state: (typeof limitStates)[number];
}

/** Each limit on each series that it speaks of and that has its metric. */
export function heldAgainst(limits: readonly SuiteLimit[], series: readonly Series[]): LimitOutcome[] {
  return limits.flatMap(({ metric, max, networks, devices }) => {
    const held = series
      .filter(({ network, place }) => fits(network, networks) && fits(place, devices))
      .flatMap(({ network, place, taken }): LimitOutcome[] => {
        const known = estimateOf([...taken.values()], metric);
        if (!known) return [];
        const { value, log, error } = known;
        const interval =
          error > 0 ? ([-1, 1].map((side) => Math.exp(log + 1.96 * side * error)) as [number, number]) : null;
        const [low, high] = interval ?? [value, value];
        const state = high <= max ? 'kept' : low > max ? 'broken' : 'unclear';
        return [{ metric, max, network, place, value, interval, state }];
      });
    const none = { network: null, place: null, value: null, interval: null, state: 'absent' } as const;
    return held.length > 0 ? held : [{ metric, max, ...none }];
  });
}

import type { Rng } from '../../core/rng.js';
import type { RoundLeg } from '../../measure/round-runner.js';

/** What goes wrong with a simulated machine while it is measured. */
export type Disturbance = 'drift' | 'throttle' | 'contended';

/**
 * By what factor each leg is slower:
 *
 * - `drift`: the candidate alone gets 2 % slower with every leg
 * - `throttle`: everything gets 1 % slower with every leg
 * - `contended`: two runs in three legs take three times as long, at random
 */
export function disturbedBy(disturbance: Disturbance | undefined, rng: Rng): (leg: RoundLeg) => number {
  let legs = 0;
  return ({ network }) => {
    const leg = legs++;
    if (disturbance === 'drift' && network === 'candidate') return 1.02 ** leg;
    if (disturbance === 'throttle') return 1.01 ** leg;
    if (disturbance === 'contended' && rng.next() < 2 / 3) return 1 + 2 * rng.next();
    return 1;
  };
}

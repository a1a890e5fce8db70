import type { ExecutedOperator } from './operator-parts.js';

/** A network as it was profiled, and what it takes when nothing is profiled, in the operators' unit. */
export interface Profiled {
  readonly operators: readonly ExecutedOperator[];
  readonly whole: number;
}

/** cost = scale x profiled - overhead, for every operator. */
export interface ProfilingOverhead {
  readonly scale: number;
  readonly overhead: number;
}

/**
 * What profiling adds: a time stamp costs every operator alike, so that a network of many small
 * operators looks dearer in its profile than it is; and the profile ran at another moment, perhaps at another clock. Both
 * are found by least squares of the relative error over all networks. Where these cannot tell the two apart (too few, or all
 * of a kind), the scale is 1. A negative overhead stands for calls between operators.
 */
export function profilingOverhead(networks: readonly Profiled[]): ProfilingOverhead {
  let [ss, sn, nn, s, n, surplus, calls] = [0, 0, 0, 0, 0, 0, 0];
  for (const { operators, whole } of networks) {
    const sum = operators.reduce((total, { cost }) => total + cost, 0);
    const [a, b] = [sum / whole, operators.length / whole];
    ss += a * a;
    sn += a * b;
    nn += b * b;
    s += a;
    n += b;
    surplus += sum - whole;
    calls += operators.length;
  }
  const determinant = ss * nn - sn * sn;
  const scale = (s * nn - n * sn) / determinant;
  // Within a factor of two: beyond it a handful of networks was fitted, no clock.
  if (networks.length >= 5 && determinant > 1e-6 * ss * nn && scale > 0.5 && scale < 2)
    return { scale, overhead: -(ss * n - sn * s) / determinant };
  return { scale: 1, overhead: calls === 0 ? 0 : surplus / calls };
}

/** The same operators without what profiling adds; none costs less than nothing. */
export const withoutProfiling = (
  operators: readonly ExecutedOperator[],
  { scale, overhead }: ProfilingOverhead,
): ExecutedOperator[] =>
  operators.map((operator) => ({ ...operator, cost: Math.max(0, scale * operator.cost - overhead) }));

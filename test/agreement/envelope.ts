import { Xoshiro128 } from '../../daemon/core/rng.js';
import { elementCount } from '../../daemon/network/graph.js';
import { type Disturbance, disturbedModel, withEveryValue } from './disturbed-model.js';

import { type NearTies, nearTies } from './near-ties.js';
import { type Given, numbers, Oracle, runOnce } from './onnxruntime.js';

const noisyRuns = 12;

/** Smallest and largest value of each element of an output over the disturbed runs; the exact ones beside them. */
export interface Envelope {
  readonly exact: Float64Array;
  readonly low: Float64Array;
  readonly high: Float64Array;
  readonly isInteger: boolean;
  /** Elements of which either of two integers is right. */
  readonly ties?: NearTies;
}

/**
 * What 8 bits may do to a network, by onnxruntime alone: activations and weights are disturbed by the steps of their
 * scales and the outputs are watched. Undefined where onnxruntime cannot run the model.
 */
export async function envelopes(
  model: Uint8Array,
  feeds: Readonly<Record<string, Given>>,
): Promise<ReadonlyMap<string, Envelope> | undefined> {
  try {
    const exact = await runOnce(model, feeds);
    const values = { ...feeds, ...(await runOnce(withEveryValue(model), feeds)) };
    const ties = await nearTies(model, feeds);
    const found = new Map(
      Object.entries(exact).map(([name, value]) => [name, envelopeOf(value, ties.get(name))]),
    );
    await disturb('noise', noisyRuns);
    // Operator sets before 7 do not broadcast by themselves: they are only disturbed.
    await disturb('round', 1).catch(() => undefined);
    return found;

    async function disturb(how: Disturbance, runs: number): Promise<void> {
      const { bytes, drawn } = disturbedModel(model, values, how);
      const oracle = await Oracle.load(bytes);
      for (let run = 0; run < runs; run++)
        widen(found, await oracle.run({ ...feeds, ...drawNumbers(drawn, run) }));
      await oracle.release();
    }
  } catch {
    return undefined;
  }
}

/** Numbers from -1 to 1 for each input asked for, the same in every process. */
const drawNumbers = (drawn: ReadonlyMap<string, readonly number[]>, run: number): Record<string, Given> => {
  const rng = Xoshiro128.fromSeed(run + 1);
  return Object.fromEntries(
    [...drawn].map(([name, dims]): [string, Given] => {
      const data = Float32Array.from({ length: elementCount(dims) }, () => 2 * rng.next() - 1);
      return [name, { type: 'float32', dims, data }];
    }),
  );
};

function envelopeOf(value: Given, ties?: NearTies): Envelope {
  const exact = numbers(value);
  return {
    exact,
    low: exact.slice(),
    high: exact.slice(),
    isInteger: !value.type.startsWith('float'),
    ...(ties && { ties }),
  };
}

function widen(found: ReadonlyMap<string, Envelope>, answer: Readonly<Record<string, Given>>): void {
  for (const [name, { low, high }] of found)
    for (const [i, value] of numbers(answer[name] as Given).entries()) {
      if (Number.isNaN(value)) continue;
      low[i] = Math.min(low[i] as number, value);
      high[i] = Math.max(high[i] as number, value);
    }
}

/**
 * Why a computed output lies outside what 8 bits explain; undefined when it does not. `step` is the output's scale. Elements that
 * are no finite numbers are not compared: int8 has none. Either integer beside a proven tie is right.
 */
export function outside(
  { exact, low, high, isInteger, ties }: Envelope,
  computed: ArrayLike<number>,
  step: number,
): string | undefined {
  if (computed.length !== exact.length) return `${computed.length} elements for ${exact.length}`;
  for (let i = 0; i < exact.length; i++) {
    const [at, value] = [exact[i] as number, computed[i] as number];
    if (!Number.isFinite(at) || ties?.get(i)?.includes(value)) continue;
    const spread = Math.max((high[i] as number) - at, at - (low[i] as number)) || 0;
    const tolerance = isInteger ? spread : 1.5 * spread + 1.01 * step + 1e-6 * Math.abs(at);
    if (!(Math.abs(value - at) <= tolerance))
      return `element ${i} is ${value} for ${at}, ${tolerance.toPrecision(3)} is allowed`;
  }
  return undefined;
}

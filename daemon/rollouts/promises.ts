import { HildaError } from '../core/errors.js';
import { differenceInterval } from '../core/intervals.js';
import { costIntervals, costsOf, isExact, type Measurement, speedOf } from '../core/measurement.js';
import { targetKey } from '../core/target.js';
import type { DeviceRecord, MeasurementRecord } from '../store/contract.js';
import { invalid, type Promised, type RolloutSpec } from './request.js';

/**
 * What each target of these devices is held against: as the specification says, else what `measured` holds of the network on
 * the target, newest first. Throws SPEC_INVALID, which names targets without a promise and promises without an interval.
 */
export function promisesFor(
  devices: readonly DeviceRecord[],
  { promise }: Pick<RolloutSpec, 'promise'>,
  measured: readonly MeasurementRecord[],
): Record<string, Promised> {
  const promises: Record<string, Promised> = {};
  const missing = new Map<string, string>();
  for (const { id, target } of devices) {
    const key = targetKey(target);
    if (promises[key] || missing.has(key)) continue;
    const given = promise?.find((one) => one.target === undefined || one.target === target.model);
    const sister = measured.find((one) => one.verdict === 'valid' && targetKey(one.target) === key);
    if (given) promises[key] = asGiven(given);
    else if (sister) promises[key] = asMeasured(sister);
    else missing.set(key, `${target.model} (${id})`);
  }
  if (missing.size === 0) return promises;
  throw new HildaError(
    'SPEC_INVALID',
    `the rollout: nothing promises a cost on ${[...missing.values()].slice(0, 5).join(', ')}`,
    {
      hint: 'Measure the network on one device of each target first (`hilda measure`), or give `promise`.',
      details: { targets: [...missing.values()] },
    },
  );
}

function asGiven({ metric, low, high, max }: NonNullable<RolloutSpec['promise']>[number]): Promised {
  const source = 'the specification';
  if (low !== undefined && high !== undefined && max === undefined) {
    if (low > high) throw invalid(`the promise of ${metric} ends below its beginning`);
    return { kind: 'interval', metric, low, high, source };
  }
  if (metric !== 'latencyUs' && max !== undefined && low === undefined && high === undefined)
    return { kind: 'limit', metric, max, source };
  throw invalid(
    `the promise of ${metric} has no interval: give low and high${metric === 'latencyUs' ? '' : ', or max'}`,
  );
}

function asMeasured(taken: MeasurementRecord): Promised {
  const { metric, value } = speedOf(taken);
  const source = `${taken.id} on ${taken.deviceId}`;
  if (isExact(metric, taken.provenance)) return { kind: 'exact', metric, value, source };
  const ci = costIntervals(taken)[metric];
  if (!ci) throw invalid(`the promise of ${metric} has no interval: ${source} tells none`);
  return { kind: 'estimate', metric, value, ci, source };
}

/** Why a measurement breaks a promise; null where it keeps it. `margin`: the share by which two devices may differ. */
export function brokenPromise(taken: Measurement, promised: Promised, margin: number): string | null {
  const { metric, source } = promised;
  const value = (costsOf(taken) as Readonly<Record<string, number | undefined>>)[metric];
  if (value === undefined) return `the device tells no ${metric}, which ${source} promised`;
  const ci = (costIntervals(taken) as Readonly<Record<string, readonly [number, number] | undefined>>)[
    metric
  ] ?? [value, value];
  const is = `${metric} is ${text(value)} [${text(ci[0])}, ${text(ci[1])}]`;
  switch (promised.kind) {
    case 'exact':
      return value === promised.value ? null : `${metric} is ${value}, ${source} promised ${promised.value}`;
    case 'limit':
      return value <= promised.max ? null : `${metric} is ${value}, ${source} allows ${promised.max}`;
    case 'interval':
      if (ci[0] <= promised.high && ci[1] >= promised.low) return null;
      return `${is}: ${slowerOr(ci[0] > promised.high)} than [${text(promised.low)}, ${text(promised.high)}] of ${source}`;
    case 'estimate': {
      const [low, high] = differenceInterval({ value, ci }, { value: promised.value, ci: promised.ci });
      const may = margin * promised.value;
      if (low <= may && high >= -may) return null;
      return `${is}: ${slowerOr(low > may)} than ${text(promised.value)} [${text(promised.ci[0])}, ${text(promised.ci[1])}], promised by ${source}`;
    }
  }
}

const slowerOr = (isSlower: boolean): string => (isSlower ? 'slower' : 'faster');
const text = (value: number): string => String(Number(value.toPrecision(5)));

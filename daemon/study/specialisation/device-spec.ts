import { z } from 'zod';
import { HildaError } from '../../core/errors.js';
import type { DeviceId } from '../../core/ids.js';
import { costsOfTarget } from '../../devices/costs-of-target.js';
import type { DeviceRecord } from '../../store/contract.js';
import { adoptedDevice } from '../parts.js';
import { isCostMetric, parseStudySpec, type StudySpec } from '../spec.js';
import { type SpeedMetric, speedMetrics } from './shapes.js';

const metrics = z.array(z.looseObject({ metric: z.string() }));
/** The fields that differ by device; the rest is looked at when the studies are made. */
const sharedSchema = z.looseObject({
  name: z.string().default('specialise'),
  devices: z.array(z.string()).default([]),
  objectives: metrics.default([
    { metric: 'accuracy', goal: 'max' },
    { metric: 'latencyUs', goal: 'min' },
  ]),
  constraints: metrics.default([]),
  predictors: metrics.default([]),
});

/** One device's search. */
export interface DeviceSpec {
  readonly deviceId: DeviceId;
  /** As `DeviceRecord.host`: devices of one host are searched in turn. */
  readonly host: string | null;
  readonly speed: SpeedMetric;
  readonly spec: StudySpec;
}

/**
 * What of a specification for several devices concerns each of `devices` (ids, or their unique beginnings). A metric
 * `cycles@DEVICE` counts for that device alone. A device whose objectives name a cost of its own has its own costs and limits
 * alone; the others have the bare ones. What belongs to the network counts for all.
 * Throws SPEC_INVALID and DEVICE_UNKNOWN before anything has started.
 */
export function deviceSpecs(
  given: unknown,
  devices: readonly string[],
  known: readonly DeviceRecord[],
): DeviceSpec[] {
  const parsed = sharedSchema.safeParse(given);
  if (!parsed.success)
    throw new HildaError(
      'SPEC_INVALID',
      `the study specification is not valid: ${z.prettifyError(parsed.error)}`,
    );
  const shared = parsed.data;
  const records = devices.map((name) => adoptedDevice(name, known));
  if (records.length < 2 || new Set(records.map(({ id }) => id)).size !== records.length)
    throw new HildaError('SPEC_INVALID', 'devices: name at least two different devices', {
      details: { fields: ['devices'] },
    });
  // Devices that the specification names and nobody asked for may be missing here.
  const ids = new Map<string, string>(records.map(({ id }, i) => [devices[i] as string, id]));
  const idOf = (name: string): string => {
    const id = ids.get(name) ?? records.find((r) => r.id === name || r.id.startsWith(`${name}-`))?.id;
    if (id !== undefined) return id;
    if (shared.devices.includes(name)) return name;
    throw new HildaError('SPEC_INVALID', `a metric belongs to ${name}, which is no device of this search`, {
      details: { fields: [`@${name}`] },
    });
  };
  const placed = <T extends { readonly metric: string }>(list: readonly T[]): Placed<T>[] =>
    list.map((one) => {
      const [metric = '', at] = one.metric.split('@');
      return { one: { ...one, metric }, device: at === undefined ? undefined : idOf(at) };
    });
  const [objectives, constraints, predictors] = [
    placed(shared.objectives),
    placed(shared.constraints),
    placed(shared.predictors),
  ];
  return records.map(({ id, host, target }): DeviceSpec => {
    const hasOwn = objectives.some(({ one, device }) => device === id && isCostMetric(one.metric));
    const concerns = <T extends { readonly metric: string }>(list: readonly Placed<T>[]): T[] =>
      list
        .filter(({ one, device }) =>
          device === undefined
            ? !(hasOwn && isCostMetric(one.metric)) && !isOverruled(one.metric, id, list)
            : device === id,
        )
        .map(({ one }) => one);
    const spec = parseStudySpec({
      ...shared,
      name: `${shared.name} for ${id}`.slice(0, 100),
      devices: [id],
      objectives: concerns(objectives),
      constraints: concerns(constraints),
      predictors: concerns(predictors),
    });
    const speed = spec.objectives.find(({ metric, goal }) => goal === 'min' && speedMetrics.includes(metric));
    const isUntimed = speed?.metric === 'latencyUs' && !costsOfTarget(target).includes('latencyUs');
    if (!speed || isUntimed || !spec.objectives.some(({ metric }) => metric === 'accuracy'))
      throw new HildaError(
        'SPEC_INVALID',
        isUntimed
          ? `${id} is emulated: it counts and has no latency`
          : `the search for ${id} needs accuracy and one of ${speedMetrics.join(', ')} (to be least) among its objectives`,
        {
          hint: `For example: { metric: ${isUntimed ? 'instructions' : 'latencyUs'}@${id}, goal: min }; an emulated Pico counts cycles.`,
          details: { fields: ['objectives'] },
        },
      );
    return { deviceId: id, host, speed: speed.metric as SpeedMetric, spec };
  });
}

interface Placed<T> {
  readonly one: T;
  /** Its id; undefined where the metric is bare. */
  readonly device: string | undefined;
}

/** `accuracy@DEVICE` stands in for the bare one. */
const isOverruled = (
  metric: string,
  id: string,
  list: readonly Placed<{ readonly metric: string }>[],
): boolean => list.some(({ one, device }) => device === id && one.metric === metric);

import { z } from 'zod';
import { HildaError } from '../core/errors.js';
import { type CostMetric, costMetrics, isShare } from '../core/measurement.js';

const metricName = z
  .string()
  .regex(/^[a-zA-Z][a-zA-Z0-9]*(@[\w.:-]+)?$/, 'a metric such as accuracy, latencyUs or latencyUs@DEVICE');

/**
 * What a user asks for: which space, searched by which sampler, measured where, scored how, within which limits.
 * `space` is the name of a file under profiles/spaces or a space file's content; metrics are `accuracy`, `macs`,
 * `parameters`, and for each device `latencyUs` and `peakBytes`, or, on a microcontroller, `cycles` or `instructions`,
 * `peakRamBytes` and `flashBytes`, with `@DEVICE` appended from the second device on. `accuracy` is that of the network as
 * the first device runs it: the int8 network on a board, where the evaluator can tell; `accuracy@DEVICE` as another does.
 * A trial counts where it runs on every device within every limit.
 */
export const studySpecSchema = z.strictObject({
  name: z.string().min(1).max(100),
  space: z.union([z.string().regex(/^[\w-]+$/), z.looseObject({ kind: z.string() })]),
  sampler: z
    .strictObject({ name: z.string(), options: z.record(z.string(), z.unknown()).default({}) })
    .default({ name: 'linas', options: {} }),
  /** Finished studies of the same space to learn from: their ids, or all that are finished when the study starts. */
  transfer: z.union([z.literal('same-space'), z.array(z.string()).max(64)]).default([]),
  /**
   * Predictors of the study's devices that steer it until ten of its own networks were measured; a measured predictor
   * or an imported table. What the front names is measured all the same.
   */
  predictors: z
    .array(z.strictObject({ metric: metricName, predictor: z.string().min(1) }))
    .max(16)
    .default([]),
  evaluator: z.looseObject({ kind: z.string() }).default({ kind: 'supernet' }),
  devices: z.array(z.string().min(1)).min(1).max(16),
  protocol: z.string().default('search'),
  objectives: z
    .array(z.strictObject({ metric: metricName, goal: z.enum(['min', 'max']) }))
    .min(1)
    .max(3)
    .default([
      { metric: 'accuracy', goal: 'max' },
      { metric: 'latencyUs', goal: 'min' },
    ]),
  /** Hard limits on measured values: `metric <= max`. */
  constraints: z.array(z.strictObject({ metric: metricName, max: z.number().positive() })).default([]),
  budget: z.strictObject({
    trials: z.number().int().min(1).max(1_000_000),
    /** Wall-clock time of running, summed over restarts is not kept: each start has this much. */
    maxMinutes: z.number().positive().optional(),
    /** A protocol that takes less time: for the rest of a run once its pace would not reach all trials in `maxMinutes`. */
    protocolWhenSlow: z.string().optional(),
  }),
  /** Trials proposed at a time. The sampler hears of all of them, in order, before it proposes the next. */
  batch: z.number().int().min(1).max(1000).default(10),
  /** Measurements of one network on one device before an invalid verdict is final. */
  attempts: z.number().int().min(1).max(10).default(3),
  /**
   * Minutes that trials wait for a device that left. Then the study goes on without it, and takes it up again when it is
   * back; a study that no device is left to ends with DEVICE_GONE, and may be resumed.
   */
  holdMinutes: z.number().min(0).max(100_000).default(5),
  seed: z.number().int().min(0).max(0xffffffff).default(0),
});

export type StudySpec = z.infer<typeof studySpecSchema>;

/** Throws SPEC_INVALID naming every wrong field by its path. */
export function parseStudySpec(value: unknown): StudySpec {
  const parsed = studySpecSchema.safeParse(value);
  if (!parsed.success) {
    const fields = parsed.error.issues.map(
      (issue) => `${issue.path.join('.') || '(root)'}: ${issue.message}`,
    );
    throw new HildaError('SPEC_INVALID', `the study specification is not valid: ${fields.join('; ')}`, {
      details: { fields },
    });
  }
  const spec = parsed.data;
  const known = knownMetrics(spec);
  for (const { metric } of [...spec.objectives, ...spec.constraints, ...spec.predictors]) {
    if (!known.has(metric) && (isCostMetric(metric) || metric.includes('@'))) {
      throw new HildaError('SPEC_INVALID', `the metric ${metric} belongs to no device of the study`, {
        hint: `Metrics of this study: ${[...known].join(', ')}, and those of its evaluator.`,
        details: { fields: [metric] },
      });
    }
  }
  for (const { metric, max } of spec.constraints)
    if (isShare(metric) && max > 1)
      throw new HildaError('SPEC_INVALID', `constraints: ${metric} <= ${max}: accuracies are shares of 1`, {
        hint: 'For example 0.915 for 91.5 %.',
        details: { fields: ['constraints'] },
      });
  if (new Set(spec.devices).size !== spec.devices.length) {
    throw new HildaError('SPEC_INVALID', 'a device is named twice', { details: { fields: ['devices'] } });
  }
  return spec;
}

/** Accuracy of the float network, where the first device runs another: there `accuracy` is the int8 network's. */
export const floatAccuracy = 'floatAccuracy';

/** The name of what the i-th device yields: bare for the first, so that one-device studies stay short. */
export const deviceMetric = (
  metric: CostMetric | 'accuracy',
  spec: Pick<StudySpec, 'devices'>,
  index: number,
): string => (index === 0 ? metric : `${metric}@${spec.devices[index]}`);

/** Which of the study's devices a metric belongs to; undefined for what belongs to the network. */
export function deviceOf(metric: string, spec: Pick<StudySpec, 'devices'>): number | undefined {
  const at = metric.indexOf('@');
  if (at >= 0) return spec.devices.indexOf(metric.slice(at + 1));
  return isCostMetric(metric) ? 0 : undefined;
}

/** The same specification with its devices called otherwise, in its metrics too. */
export function renameDevices(spec: StudySpec, devices: readonly string[]): StudySpec {
  const renamed = <T extends { readonly metric: string }>(one: T): T => {
    const at = one.metric.indexOf('@');
    const index = spec.devices.indexOf(one.metric.slice(at + 1));
    return at < 0 || index < 0 ? one : { ...one, metric: `${one.metric.slice(0, at)}@${devices[index]}` };
  };
  return {
    ...spec,
    devices: [...devices],
    objectives: spec.objectives.map(renamed),
    constraints: spec.constraints.map(renamed),
    predictors: spec.predictors.map(renamed),
  };
}

/** Whether the values of a complete trial hold what every device of the study has to say: one may have been away. */
export const isWhole = (
  values: Readonly<Record<string, number>>,
  spec: Pick<StudySpec, 'devices'>,
): boolean => spec.devices.every((_, i) => hasCosts(values, spec, i));

/** Whether the values hold a cost of the i-th device. */
export const hasCosts = (
  values: Readonly<Record<string, number>>,
  spec: Pick<StudySpec, 'devices'>,
  index: number,
): boolean => costMetrics.some((metric) => values[deviceMetric(metric, spec, index)] !== undefined);

/** Whether a metric is measured on a device, and not a quality of the network. */
export const isCostMetric = (metric: string): boolean =>
  costMetrics.some((cost) => metric === cost || metric.startsWith(`${cost}@`));

/** Metrics known without an evaluator. */
function knownMetrics(spec: StudySpec): Set<string> {
  const ofDevices = spec.devices.flatMap((_, i) =>
    ([...costMetrics, 'accuracy'] as const).map((metric) => deviceMetric(metric, spec, i)),
  );
  return new Set(['macs', 'parameters', ...ofDevices]);
}

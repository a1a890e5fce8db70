import { HildaError } from '../core/errors.js';
import { findId } from '../core/id-beginnings.js';
import { costsOfTarget } from '../devices/costs-of-target.js';
import type { Evaluator } from '../evaluate/contract.js';
import type { DeviceRecord } from '../store/contract.js';
import { deviceMetric, floatAccuracy, type StudySpec } from './spec.js';

/**
 * Refuses objectives and limits that name what neither the study's devices nor its evaluator yield, before anything is
 * measured: a limit on such a metric would hold for every network. `devices`: in the specification's order. Throws
 * SPEC_INVALID.
 */
export function checkMetrics(
  spec: StudySpec,
  evaluator: Pick<Evaluator, 'metrics' | 'deployed'>,
  devices: readonly DeviceRecord[],
): void {
  const yielded = [...new Set(metricsOf(spec, evaluator, devices))];
  for (const [field, list] of [
    ['objectives', spec.objectives],
    ['constraints', spec.constraints],
  ] as const)
    for (const [i, { metric }] of list.entries()) {
      if (yielded.includes(metric)) continue;
      const found = findId(yielded, metric);
      const near =
        'near' in found && found.near.length > 0 ? `Did you mean ${found.near.join(' or ')}? ` : '';
      throw new HildaError(
        'SPEC_INVALID',
        `${field}: no device and no evaluator of the study yields ${metric}`,
        {
          hint: `${near}Metrics of this study: ${yielded.join(', ')}. A command names those it prints in evaluator.metrics.`,
          details: { fields: [`${field}.${i}.metric`] },
        },
      );
    }
}

function metricsOf(
  spec: StudySpec,
  { metrics, deployed }: Pick<Evaluator, 'metrics' | 'deployed'>,
  devices: readonly DeviceRecord[],
): string[] {
  const showsExamples = deployed !== undefined && metrics.includes('accuracy');
  return [
    ...metrics,
    ...(showsExamples ? [...devices.map((_, i) => deviceMetric('accuracy', spec, i)), floatAccuracy] : []),
    ...devices.flatMap(({ target }, i) => costsOfTarget(target).map((cost) => deviceMetric(cost, spec, i))),
    'macs',
    'parameters',
  ];
}

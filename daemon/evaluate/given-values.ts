import { z } from 'zod';
import { type ErrorCode, HildaError } from '../core/errors.js';
import type { Evidence } from '../core/evidence.js';
import { costMetrics, isShare } from '../core/measurement.js';
import type { Quality } from './contract.js';
import { bareEvidence, givenEvidence, sharedEvidence } from './evidence.js';

/** How a program outside gives a value: bare, or with what it rests on. */
export const givenValueSchema = z.union([
  z.number().describe('A bare value has no interval.'),
  z.strictObject({
    value: z.number(),
    images: z.number().int().min(1).describe('A share that was counted on so many images.'),
  }),
  z.strictObject({
    value: z.number(),
    ci: z.tuple([z.number(), z.number()]).describe('Its 95 % interval, as the evaluator worked it out.'),
  }),
]);

export type GivenValue = z.infer<typeof givenValueSchema>;

/** What hilda finds out itself; a value from outside would stand in its place unseen. */
const isOurs = (metric: string): boolean => {
  const [name = metric] = metric.split('@');
  return [...costMetrics, 'macs', 'parameters', 'floatAccuracy'].includes(name);
};

/** Throws SPEC_INVALID where an evaluator claims a metric that devices measure or that is counted. */
export function checkEvaluated(metrics: readonly string[], field: string): void {
  const ours = metrics.filter(isOurs);
  if (ours.length > 0)
    throw new HildaError('SPEC_INVALID', `${field}: ${ours.join(', ')}: measured or counted, not evaluated`, {
      hint: 'Give the qualities of the network alone, such as accuracy.',
      details: { fields: [field] },
    });
}

/**
 * Values with what they rest on. Throws under `code` where an accuracy, or what was counted, is no share of 1, where an
 * interval does not hold its value, and where the metric is measured or counted by hilda itself.
 */
export function readGiven(
  given: Readonly<Record<string, GivenValue>>,
  { source, code }: { readonly source: string; readonly code: ErrorCode },
): Quality {
  const values: [metric: string, value: number][] = [];
  const evidence: [metric: string, evidence: Evidence][] = [];
  for (const [metric, one] of Object.entries(given)) {
    const value = typeof one === 'number' ? one : one.value;
    const wrong = (why: string): HildaError =>
      new HildaError(code, `${metric} ${value}: ${why}`, {
        hint: 'Accuracies are shares of 1, such as 0.915 for 91.5 %.',
        details: { fields: [metric] },
      });
    const isCounted = typeof one === 'object' && 'images' in one;
    if (isOurs(metric)) throw wrong('measured or counted here, not evaluated');
    if (!Number.isFinite(value)) throw wrong('not a number');
    if ((isCounted || isShare(metric)) && (value < 0 || value > 1)) throw wrong('not a share of 1');
    if (typeof one === 'object' && 'ci' in one && !(one.ci[0] <= value && value <= one.ci[1]))
      throw wrong(`outside its own interval, ${one.ci.join(' to ')}`);
    values.push([metric, value]);
    const rests =
      typeof one === 'number'
        ? bareEvidence(source)
        : 'images' in one
          ? sharedEvidence(value, one.images, source)
          : givenEvidence(one.ci, source);
    evidence.push([metric, rests]);
  }
  return { values: Object.fromEntries(values), source, evidence: Object.fromEntries(evidence) };
}

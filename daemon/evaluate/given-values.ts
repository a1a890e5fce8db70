import { z } from 'zod';
import { type ErrorCode, HildaError } from '../core/errors.js';
import type { Evidence } from '../core/evidence.js';
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

/** Accuracies are shares of 1. */
const isShare = (metric: string): boolean => /accuracy/i.test(metric);

/**
 * Values with what they rest on. Throws under `code` where an accuracy, or what was counted, is no share of 1, and where
 * an interval does not hold its value.
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

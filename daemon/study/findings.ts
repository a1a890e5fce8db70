import type { Answers, Evidence } from '../core/evidence.js';
import type { Quality } from '../evaluate/contract.js';
import { bareEvidence } from '../evaluate/evidence.js';
import { floatAccuracy } from './spec.js';

/** What is known of a trial by now, with what its evaluated values rest on. */
export interface Findings {
  readonly values: Record<string, number>;
  readonly evidence: Record<string, Evidence>;
  /** See `AnswersOf`. */
  readonly answers: Record<string, Answers>;
}

/** What an evaluator says of the float network. A value that comes bare says whose it is. */
export function addQuality(
  { values, evidence, answers }: Findings,
  { values: evaluated, evidence: known = {}, answers: told = {}, source }: Quality,
): void {
  Object.assign(values, evaluated);
  for (const metric of Object.keys(evaluated)) {
    evidence[metric] = Object.hasOwn(known, metric) ? (known[metric] as Evidence) : bareEvidence(source);
    if (!Object.hasOwn(told, metric)) continue;
    answers[metric === 'accuracy' ? floatAccuracy : metric] = told[metric] as Answers;
  }
}

/** A value under another name as well. */
export function copyValue({ values, evidence }: Findings, from: string, to: string): void {
  if (values[from] === undefined) return;
  values[to] = values[from];
  if (evidence[from]) evidence[to] = evidence[from];
}

export function dropValue({ values, evidence, answers }: Findings, metric: string): void {
  delete values[metric];
  delete evidence[metric];
  delete answers[metric];
}

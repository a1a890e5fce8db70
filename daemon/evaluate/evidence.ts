import type { Answers, Evidence } from '../core/evidence.js';
import type { Interval } from '../core/intervals.js';
import { accuracyOf, proportionInterval, type ScoredAnswers } from '../predict/proportions.js';
import type { Quality } from './contract.js';

/** An accuracy that was counted image by image, as an evaluator answers with it. `set` names all images. */
export function countedAccuracy(
  answers: { readonly float: Uint8Array; readonly own?: Uint8Array },
  { set, source }: { readonly set: string; readonly source: string },
): Quality {
  const { value, ci } = accuracyOf(answers);
  const images = answers.float.length;
  const compared = answers.own ? answers.own.length : null;
  const told: Answers = { set, right: answers.own ?? answers.float };
  return {
    values: { accuracy: value },
    source,
    evidence: { accuracy: { ci, images, compared, source } },
    answers: { accuracy: told },
  };
}

/** The evidence of a share that somebody else counted on so many images. Throws RangeError where it is no share. */
export const sharedEvidence = (share: number, images: number, source: string): Evidence => ({
  ci: proportionInterval(share * images, images),
  images,
  compared: null,
  source,
});

/** The evidence of a value whose interval somebody else worked out. */
export const givenEvidence = (ci: Interval, source: string): Evidence => ({
  ci,
  images: null,
  compared: null,
  source,
});

/** Of a value that comes bare: it has no interval, and says so. */
export const bareEvidence = (source: string): Evidence => ({
  ci: null,
  images: null,
  compared: null,
  source,
});

/** The answers behind an accuracy: a device's own network's beside the float one's, where it has one. */
export function scoredAnswers(float: Answers, own: Answers | undefined): ScoredAnswers {
  return { float: float.right, own: own?.right };
}

import type { HildaError } from '../core/errors.js';
import { isAway } from '../fleet/away.js';
import { faultOf } from '../fleet/suspicion.js';

/** `elsewhere`: on another device of its selector, which is no attempt of its own. */
export type Next = 'again' | 'elsewhere' | 'final';

export interface Tried {
  /** Attempts that ended in a failure or an invalid measurement, this one included. */
  readonly attempts: number;
  readonly maxAttempts: number;
}

/**
 * The one rule of what follows a failed attempt. A device that is not available leaves the job to its equals. Whose fault
 * a settled failure is, another attempt does not change; other faults of devices, links and evaluators may pass.
 */
export function afterFailure(error: HildaError, { attempts, maxAttempts }: Tried): Next {
  if (isAway(error)) return 'elsewhere';
  if (error.details.atFault !== undefined || faultOf(error) !== 'other') return 'final';
  return attempts < maxAttempts ? 'again' : 'final';
}

/** A measurement that is not valid is kept, marked and repeated. */
export const afterMeasurement = (isValid: boolean, { attempts, maxAttempts }: Tried): Next =>
  !isValid && attempts < maxAttempts ? 'again' : 'final';

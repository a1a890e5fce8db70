import { type ErrorCode, errorTable, HildaError } from '../core/errors.js';
import type { ProblemDocument } from './schemas.js';

/** The one place where an error becomes an RFC 9457 problem document; its status comes from the error table. */
export function toProblem(error: HildaError): ProblemDocument {
  const { code, hint, retryable, httpStatus: status } = error;
  const details = JSON.parse(JSON.stringify(error.details)) as Record<string, unknown>;
  return {
    type: `urn:hilda:error:${code}`,
    title: code,
    status,
    detail: error.message,
    code,
    hint,
    retryable,
    details,
  };
}

/** The way back, in a client. An answer that is no problem document of ours becomes INTERNAL. */
export function fromProblem(body: unknown, status: number): HildaError {
  const problem = body as Partial<ProblemDocument> | null;
  const code = problem?.code;
  if (typeof code !== 'string' || !Object.hasOwn(errorTable, code)) {
    return new HildaError('INTERNAL', `the daemon answered ${status} without a problem document`, {
      hint: 'Is it a hilda daemon that listens there?',
    });
  }
  return new HildaError(code as ErrorCode, problem?.detail ?? code, {
    ...(problem?.hint === undefined ? {} : { hint: problem.hint }),
    details: problem?.details ?? {},
  });
}

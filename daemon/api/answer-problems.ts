import type { ErrorRequestHandler } from 'express';
import { asHildaError, type ErrorCode, HildaError } from '../core/errors.js';
import { answerEarly, isUnread } from './answer-early.js';
import { toProblem } from './problem.js';

/** Express's own errors carry a status and a type; ours carry a code. */
const codeOfStatus = new Map<number, ErrorCode>([
  [413, 'REQUEST_TOO_LARGE'],
  [415, 'MEDIA_TYPE_UNSUPPORTED'],
]);

/** Bodies that are too large, no JSON or in an unknown encoding, and addresses with bad percent-encoding. */
function toRequestError(thrown: unknown): HildaError {
  const { status, type, limit } = (thrown ?? {}) as { status?: unknown; type?: unknown; limit?: unknown };
  if (thrown instanceof HildaError || typeof status !== 'number' || status >= 500)
    return asHildaError(thrown);
  if (type === 'request.aborted')
    return new HildaError('INTERRUPTED', 'the client went away', { cause: thrown });
  const message = thrown instanceof Error ? thrown.message : 'the request is malformed';
  return new HildaError(codeOfStatus.get(status) ?? 'REQUEST_INVALID', message, {
    cause: thrown,
    details: limit === undefined ? {} : { limitBytes: limit },
  });
}

/** The last handler of a server: every thrown value is answered with its problem document. Defects are told to `onError`. */
export const answerProblems =
  (onError?: (error: HildaError, request: string) => void): ErrorRequestHandler =>
  (thrown, request, response, next) => {
    const error = toRequestError(thrown);
    // A client that leaves, and a daemon that stops, are no defects.
    if (error.httpStatus >= 500 && error.code !== 'INTERRUPTED')
      onError?.(error, `${request.method} ${request.path}`);
    if (response.headersSent) return next(error);
    const allow = error.code === 'METHOD_NOT_ALLOWED' ? error.details.allow : undefined;
    if (Array.isArray(allow)) response.set('Allow', allow.join(', '));
    if (error.httpStatus === 401) response.set('WWW-Authenticate', 'Bearer realm="hilda"');
    const { retryAfterS } = error.details;
    if (typeof retryAfterS === 'number') response.set('Retry-After', String(retryAfterS));
    response.status(error.httpStatus).set('Cache-Control', 'no-store').type('application/problem+json');
    const body = JSON.stringify(toProblem(error));
    if (isUnread(request)) answerEarly(request, response, body);
    else {
      response.send(body);
      // The next request of the connection stands behind what is left of this one.
      request.resume();
    }
  };

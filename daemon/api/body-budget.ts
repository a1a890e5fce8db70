import type { RequestHandler } from 'express';
import { HildaError } from '../core/errors.js';

/** Bytes of all bodies that are held at once. */
const mostBytes = 640 * 2 ** 20;
/** Bodies up to this size are never kept waiting. */
const smallBytes = 2 ** 20;

/**
 * Bounds the memory of bodies that are on their way or being worked on: a request that would exceed it is refused with
 * REQUESTS_LIMITED. A body of unknown length counts as the most that its operation takes.
 */
export class BodyBudget {
  #held = 0;

  reserve(maxBytes: number): RequestHandler {
    return (request, response, next) => {
      const stated = Number(request.headers['content-length'] ?? maxBytes);
      const bytes = Math.min(Number.isFinite(stated) ? stated : maxBytes, maxBytes);
      if (bytes <= smallBytes) return next();
      if (this.#held + bytes > mostBytes)
        throw new HildaError('REQUESTS_LIMITED', 'too many large uploads are under way', {
          details: { retryAfterS: 5 },
        });
      this.#held += bytes;
      response.once('close', () => {
        this.#held -= bytes;
      });
      next();
    };
  }
}

import type { IncomingMessage } from 'node:http';
import type { Handler } from 'express';
import { HildaError } from '../core/errors.js';

const loopbackNames: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);

/**
 * A page anywhere on the web can make the user's browser call a server on loopback. Two facts give it away: its own
 * name in `Host` (DNS rebinding), or a foreign `Origin` (a plain cross-site request, or a ws handshake, which no
 * same-origin rule guards). Programs send no Origin and pass. Throws ORIGIN_REFUSED.
 */
export function checkHostAndOrigin({ headers: { host, origin }, headersDistinct }: IncomingMessage): void {
  // Node takes the first of several (RFC 9112, section 3.2, refuses them).
  if ((headersDistinct.host?.length ?? 0) > 1)
    throw new HildaError('ORIGIN_REFUSED', 'the request names several hosts', {
      details: { host: headersDistinct.host },
    });
  const name = host?.replace(/:\d+$/, '').toLowerCase() ?? '';
  if (!loopbackNames.has(name)) {
    throw new HildaError(
      'ORIGIN_REFUSED',
      `the host name ${host ?? '(none)'} is not this machine's loopback name`,
      { details: { host: host ?? null } },
    );
  }
  if (origin !== undefined && origin.toLowerCase() !== `http://${host?.toLowerCase()}`) {
    throw new HildaError('ORIGIN_REFUSED', `requests from pages of ${origin} are not answered`, {
      details: { origin },
    });
  }
}

/** Servers shown to networks have no names of their own to check: pages may call the server they came from alone. */
export const checkOwnOrigin =
  (scheme: 'http' | 'https') =>
  ({ headers: { host, origin } }: IncomingMessage): void => {
    if (origin !== undefined && origin.toLowerCase() !== `${scheme}://${host?.toLowerCase()}`)
      throw new HildaError('ORIGIN_REFUSED', `pages of ${origin} may not join`);
  };

/** A check of handshakes as a handler of plain requests. */
export const guarded =
  (check: (request: IncomingMessage) => void): Handler =>
  (request, _response, next) => {
    check(request);
    next();
  };

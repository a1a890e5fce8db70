import { createHash } from 'node:crypto';
import type { Request, Response } from 'express';
import { compress } from './compress.js';
import type { Answer, Route } from './route.js';

/** How long a client may keep an answer, and whether it travels packed. */
interface Keeping {
  readonly cacheControl: string;
  readonly tagged?: 'weak' | 'strong';
  readonly packed: boolean;
}

const year = 365 * 24 * 3600;
/** What was read may be kept, and is asked about again. Its tag is weak: the same answer may travel packed or not. */
export const revalidated: Keeping = { cacheControl: 'private, no-cache', tagged: 'weak', packed: true };
/** Bytes under their own SHA-256. Weights do not shrink. */
const forGood: Keeping = {
  cacheControl: `private, max-age=${year}, immutable`,
  tagged: 'strong',
  packed: false,
};
const done: Keeping = { cacheControl: 'no-store', packed: true };
const secret: Keeping = { cacheControl: 'no-store', packed: false };

/** Sends what a route's handler gave, with the headers of its kind. */
export async function sendAnswer(
  request: Request,
  response: Response,
  route: Route,
  { body, options: { status = route.answer.status, type, location } }: Answer,
): Promise<void> {
  if (response.headersSent || response.destroyed) return;
  const success = [route.answer, ...(route.also ?? [])].find((one) => one.status === status);
  response.status(status).type(type ?? 'json');
  if (location) response.location(location);
  const keeping = success?.secret
    ? secret
    : success?.immutable
      ? forGood
      : route.method === 'get'
        ? revalidated
        : done;
  const raw = type ? (body as Uint8Array) : Buffer.from(JSON.stringify(body));
  const bytes = Buffer.isBuffer(raw) ? raw : Buffer.from(raw);
  await sendBytes(request, response, bytes, keeping);
}

/** Sends a body, or 304 where the client has it. */
export async function sendBytes(
  request: Request,
  response: Response,
  bytes: Buffer,
  { cacheControl, tagged, packed }: Keeping,
): Promise<void> {
  response.set('Cache-Control', cacheControl);
  if (tagged) {
    const hash = createHash('sha256').update(bytes).digest('base64url').slice(0, 27);
    response.set('ETag', tagged === 'weak' ? `W/"${hash}"` : `"${hash}"`);
  }
  if (packed) response.vary('Accept-Encoding');
  if (request.fresh) return void response.status(304).end();
  const sent = packed ? await compress(request, response, bytes) : bytes;
  response.set('Content-Length', String(sent.length));
  response.end(request.method === 'HEAD' ? undefined : sent);
}

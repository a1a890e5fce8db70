import type { RequestHandler } from 'express';
import { HildaError } from '../core/errors.js';
import type { BodyBudget } from './body-budget.js';
import { bodyTooLarge, checkStatedLength, collectBody } from './collect-body.js';
import { checkJsonSize } from './json-size.js';
import { isJsonBody, octets, type Route } from './route.js';

const maxJsonBytes = 1024 * 1024;

/** What reads a request's body, and refuses one of another type or size: 415 and 413. Limits are of the unpacked body. */
export function bodyReader({ body, path }: Route, budget: BodyBudget): RequestHandler[] {
  if (!body) return [];
  if (isJsonBody(body)) return [jsonAlone, readJson];
  const { maxBytes } = body;
  const refusal = path === '/models' ? modelTooLarge : bodyTooLarge;
  // Before the budget: what is too large takes nothing of it.
  const stated: RequestHandler = (request, _response, next) => {
    checkStatedLength(request, maxBytes, refusal);
    next();
  };
  const read: RequestHandler = async (request, _response, next) => {
    request.body = await collectBody(request, maxBytes, refusal);
    next();
  };
  return [bytesAlone, stated, budget.reserve(maxBytes), read];
}

const readJson: RequestHandler = async (request, _response, next) => {
  const { 'content-length': length, 'transfer-encoding': transfer } = request.headers;
  if (length === undefined && transfer === undefined) return next();
  const text = await collectBody(request, maxJsonBytes);
  checkJsonSize(text);
  request.body = text.byteLength === 0 ? {} : parsed(text);
  next();
};

function parsed(text: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(text));
  } catch (cause) {
    throw new HildaError('REQUEST_INVALID', `the body is no JSON: ${(cause as Error).message}`, { cause });
  }
}

/** `text/html; charset=utf-8` as `text/html`; empty where the request does not say. */
const typeOf = (given: string | undefined): string => given?.split(';')[0]?.trim().toLowerCase() ?? '';

/** A page of another site can send text and forms unasked; JSON it cannot. A body without a type is read as JSON. */
const jsonAlone: RequestHandler = ({ headers }, _response, next) => {
  const type = typeOf(headers['content-type']);
  const charset = /;\s*charset\s*=\s*"?([^\s";]+)/i.exec(headers['content-type'] ?? '')?.[1];
  // Others hide brackets from the count of them.
  if (charset !== undefined && !/^utf-?8$/i.test(charset))
    throw new HildaError('MEDIA_TYPE_UNSUPPORTED', `the body is in ${charset}, not in UTF-8`);
  if (type === '' || type === 'application/json' || /^application\/[\w.-]+\+json$/.test(type)) return next();
  throw new HildaError('MEDIA_TYPE_UNSUPPORTED', `the body is ${type}, not application/json`);
};

/**
 * Bytes may come under any name, curl's own for a form among them; what wraps them would be taken for them. Weights do not
 * shrink: packed bodies are refused, since one of 233 KB may unpack to 120 MB.
 */
const bytesAlone: RequestHandler = ({ headers }, _response, next) => {
  const packed = headers['content-encoding'];
  if (packed !== undefined && packed.toLowerCase() !== 'identity')
    throw new HildaError('MEDIA_TYPE_UNSUPPORTED', `the body is packed with ${packed}`, {
      hint: 'Send the bytes of the file as they are.',
    });
  const type = typeOf(headers['content-type']);
  if (type !== 'application/json' && !type.startsWith('multipart/')) return next();
  throw new HildaError('MEDIA_TYPE_UNSUPPORTED', `the body is ${type}, not the file's bytes`, {
    hint: `Send the bytes alone with \`content-type: ${octets}\`.`,
  });
};

/** A model beyond the limit has a code of its own. */
const modelTooLarge = (limitBytes: number): HildaError =>
  new HildaError('NETWORK_TOO_LARGE', `the file exceeds ${limitBytes} bytes`, { details: { limitBytes } });

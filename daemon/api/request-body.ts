import express, { type ErrorRequestHandler, type RequestHandler } from 'express';
import { HildaError } from '../core/errors.js';
import type { BodyBudget } from './body-budget.js';
import { checkJsonSize } from './json-size.js';
import { isJsonBody, octets, type Route } from './route.js';

const maxJsonBytes = 1024 * 1024;

/** What reads a request's body, and refuses one of another type or size: 415 and 413. Limits are of the unpacked body. */
export function bodyReader({ body, path }: Route, budget: BodyBudget): RequestHandler[] {
  if (!body) return [];
  const any = (): boolean => true;
  if (isJsonBody(body)) {
    const verify = (_request: unknown, _response: unknown, text: Buffer): void => checkJsonSize(text);
    return [jsonAlone, express.json({ limit: maxJsonBytes, type: any, strict: false, verify })];
  }
  const limits = path === '/models' ? [modelTooLarge(body.maxBytes) as unknown as RequestHandler] : [];
  const read = express.raw({ limit: body.maxBytes, type: any, inflate: false });
  return [bytesAlone, budget.reserve(body.maxBytes), read, ...limits];
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
const modelTooLarge =
  (maxBytes: number): ErrorRequestHandler =>
  (error, _request, _response, next) => {
    const isLimit = (error as { type?: unknown } | null)?.type === 'entity.too.large';
    next(
      isLimit
        ? new HildaError('NETWORK_TOO_LARGE', `the file exceeds ${maxBytes} bytes`, {
            cause: error,
            details: { limitBytes: maxBytes },
          })
        : error,
    );
  };

import express, { type ErrorRequestHandler, type RequestHandler } from 'express';
import { HildaError } from '../core/errors.js';
import { isJsonBody, octets, type Route } from './route.js';

const maxJsonBytes = 1024 * 1024;

/** What reads a request's body, and refuses one of another type or size: 415 and 413. */
export function bodyReader({ body, path }: Route): RequestHandler[] {
  if (!body) return [];
  const any = (): boolean => true;
  if (isJsonBody(body)) return [jsonAlone, express.json({ limit: maxJsonBytes, type: any, strict: false })];
  const limits = path === '/models' ? [modelTooLarge(body.maxBytes) as unknown as RequestHandler] : [];
  return [bytesAlone, express.raw({ limit: body.maxBytes, type: any }), ...limits];
}

/** `text/html; charset=utf-8` as `text/html`; empty where the request does not say. */
const typeOf = (given: string | undefined): string => given?.split(';')[0]?.trim().toLowerCase() ?? '';

/** A page of another site can send text and forms unasked; JSON it cannot. A body without a type is read as JSON. */
const jsonAlone: RequestHandler = ({ headers }, _response, next) => {
  const type = typeOf(headers['content-type']);
  if (type === '' || type === 'application/json' || /^application\/[\w.-]+\+json$/.test(type)) return next();
  throw new HildaError('MEDIA_TYPE_UNSUPPORTED', `the body is ${type}, not application/json`);
};

/** Bytes may come under any name, curl's own for a form among them; what wraps them would be taken for them. */
const bytesAlone: RequestHandler = ({ headers }, _response, next) => {
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

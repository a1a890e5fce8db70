import express, { type Request, type RequestHandler, type Router } from 'express';
import { z } from 'zod';
import { checkScope } from '../access/access.js';
import { HildaError } from '../core/errors.js';
import { sendAnswer } from './answer.js';
import { BodyBudget } from './body-budget.js';
import { callerOf } from './caller.js';
import { bodyReader } from './request-body.js';
import { Answer, isJsonBody, type Route, scopeOf } from './route.js';
import type { DaemonServices } from './services.js';

/** Serves the table of operations: validates each request, answers as the table says, refuses other methods. */
export function mountRoutes(
  routes: readonly Route[],
  services: DaemonServices,
  stopping: AbortSignal,
): Router {
  const router = express.Router();
  const budget = new BodyBudget();
  const methods = new Map<string, string[]>();
  for (const route of routes) {
    const path = route.path.replace(/\{(\w+)\}/g, ':$1');
    methods.set(path, [...(methods.get(path) ?? []), route.method]);
    const scope = scopeOf(route);
    const mayAsk: RequestHandler = (request, _response, next) => {
      checkScope(callerOf(request), scope);
      next();
    };
    router[route.method](path, mayAsk, ...bodyReader(route, budget), async (request, response) => {
      const gone = new AbortController();
      response.once('close', () => gone.abort(new HildaError('INTERRUPTED', 'the client went away')));
      const result = await route.handle({
        params: request.params as Record<string, string>,
        query: parse((route.query ?? noQuery).strict(), request.query, 'query'),
        body: readBody(route, request),
        caller: callerOf(request),
        services,
        idempotencyKey: idempotencyKeyOf(request),
        routes,
        signal: AbortSignal.any([gone.signal, stopping]),
      });
      await sendAnswer(request, response, route, result instanceof Answer ? result : new Answer(result));
    });
  }
  // Behind all operations: an address may fit a pattern of another one, too.
  for (const [path, own] of methods) router.all(path, onlyMethods(own));
  return router;
}

const noQuery = z.object({});

/** Refuses every method with METHOD_NOT_ALLOWED, and answers OPTIONS: `own` is what the address takes. */
export function onlyMethods(own: readonly string[]): RequestHandler {
  const upper = own.map((method) => method.toUpperCase());
  const allow = [...upper, ...(upper.includes('GET') ? ['HEAD'] : []), 'OPTIONS'].sort();
  return ({ method, path }, response) => {
    if (method === 'OPTIONS') return void response.set('Allow', allow.join(', ')).status(204).end();
    throw new HildaError('METHOD_NOT_ALLOWED', `${path} takes ${allow.join(', ')}, not ${method}`, {
      details: { allow },
    });
  };
}

/** Throws REQUEST_INVALID for a key that no log or table can hold. */
function idempotencyKeyOf(request: Request): string | null {
  const key = request.get('idempotency-key');
  if (key === undefined || /^[\x21-\x7e]{1,200}$/.test(key)) return key ?? null;
  throw new HildaError('REQUEST_INVALID', 'an Idempotency-Key has 1 to 200 printable ASCII characters');
}

function readBody({ body }: Route, request: Request): unknown {
  if (!body) return undefined;
  if (isJsonBody(body)) return parse(body, request.body, 'body');
  return Buffer.isBuffer(request.body) ? request.body : new Uint8Array();
}

/** Throws REQUEST_INVALID naming every wrong field by its path. */
function parse(schema: z.ZodType, value: unknown, place: string): unknown {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const fields = parsed.error.issues.map((issue) => `${[place, ...issue.path].join('.')}: ${issue.message}`);
  throw new HildaError('REQUEST_INVALID', `the request is not valid: ${fields.join('; ')}`, {
    details: { fields },
  });
}

import express, { type Request, type RequestHandler, type Response, type Router } from 'express';
import { z } from 'zod';
import { HildaError } from '../core/errors.js';
import type { Jobs } from './jobs.js';
import type { DaemonServices } from './services.js';

/** Bytes instead of JSON, either way. */
export const octets = 'application/octet-stream';

/** A success other than 200, or bytes. */
export class Answer {
  constructor(
    readonly body: unknown,
    readonly options: { readonly status?: number; readonly type?: string; readonly location?: string } = {},
  ) {}
}

export interface RouteContext<Params, Query, Body> {
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  readonly services: DaemonServices;
  readonly jobs: Jobs;
  /** Aborts when the client goes away, or the daemon stops. */
  readonly signal: AbortSignal;
}

/**
 * One operation, as data: the router validates requests by it and openapi.json prints it, so that the two cannot
 * disagree. Paths are relative to /v1, with `{name}` for parameters.
 */
export interface Route {
  readonly method: 'get' | 'post';
  readonly path: string;
  readonly summary: string;
  readonly query?: z.ZodObject | undefined;
  /** A schema for JSON, or a limit in bytes for an octet stream. */
  readonly body?: z.ZodType | { readonly maxBytes: number } | undefined;
  readonly answer: { readonly status: number; readonly schema: z.ZodType | typeof octets };
  handle(context: RouteContext<Record<string, string>, unknown, unknown>): Promise<unknown>;
}

type BodyOf<B> = B extends z.ZodType ? z.infer<B> : B extends { maxBytes: number } ? Uint8Array : undefined;
type ParamsOf<P extends string> = P extends `${string}{${infer Name}}${infer Rest}`
  ? { readonly [K in Name]: string } & ParamsOf<Rest>
  : unknown;

/** Ties the handler's types to the schemas beside it. */
export function defineRoute<
  P extends string,
  Q extends z.ZodObject = z.ZodObject<Record<never, never>>,
  B extends Route['body'] = undefined,
>(
  route: Omit<Route, 'path' | 'query' | 'body' | 'handle'> & {
    readonly path: P;
    readonly query?: Q;
    readonly body?: B;
    handle(context: RouteContext<ParamsOf<P>, z.infer<Q>, BodyOf<B>>): Promise<unknown>;
  },
): Route {
  return route as unknown as Route;
}

const maxJsonBytes = 1024 * 1024;

export function mountRoutes(
  routes: readonly Route[],
  services: DaemonServices,
  jobs: Jobs,
  stopping: AbortSignal,
): Router {
  const router = express.Router();
  for (const route of routes) {
    const readers = bodyReader(route);
    router[route.method](route.path.replace(/\{(\w+)\}/g, ':$1'), ...readers, async (request, response) => {
      const gone = new AbortController();
      response.once('close', () => gone.abort(new HildaError('INTERRUPTED', 'the client went away')));
      const result = await route.handle({
        params: request.params as Record<string, string>,
        query: route.query ? parse(route.query, request.query, 'query') : {},
        body: readBody(route, request),
        services,
        jobs,
        signal: AbortSignal.any([gone.signal, stopping]),
      });
      send(response, route, result);
    });
  }
  return router;
}

function bodyReader({ body }: Route): RequestHandler[] {
  if (!body) return [];
  // Whatever the content type says: a forgotten header should not cost the user a puzzling error.
  const any = (): boolean => true;
  if (body instanceof z.ZodType) return [express.json({ limit: maxJsonBytes, type: any, strict: false })];
  return [express.raw({ limit: body.maxBytes, type: any }), tooLarge(body.maxBytes)];
}

/** A model beyond the limit deserves its own code, not a malformed request's. */
function tooLarge(maxBytes: number): RequestHandler {
  const handler = (
    error: unknown,
    _request: Request,
    _response: Response,
    next: (error?: unknown) => void,
  ): void => {
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
  return handler as unknown as RequestHandler;
}

function readBody({ body }: Route, request: Request): unknown {
  if (!body) return undefined;
  if (body instanceof z.ZodType) return parse(body, request.body, 'body');
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

function send(response: Response, route: Route, result: unknown): void {
  if (response.headersSent || response.destroyed) return;
  const answer = result instanceof Answer ? result : new Answer(result);
  const { status = route.answer.status, type, location } = answer.options;
  response.status(status);
  if (location) response.location(location);
  if (type) response.type(type).send(Buffer.from(answer.body as Uint8Array));
  else response.json(answer.body);
}

import { z } from 'zod';
import type { Caller, Scope } from '../access/access.js';
import type { DaemonServices } from './services.js';

/** Bytes instead of JSON, either way. */
export const octets = 'application/octet-stream';

/** An answer of its own kind: another success than the first, a place to look at, or bytes. */
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
  /** The header Idempotency-Key; null where the client sent none. */
  readonly idempotencyKey: string | null;
  readonly caller: Caller;
  /** The whole table. */
  readonly routes: readonly Route[];
  /** Aborts when the client goes away, or the daemon stops. */
  readonly signal: AbortSignal;
}

/** One success of an operation. */
export interface Success {
  readonly status: number;
  readonly schema: z.ZodType | typeof octets;
  /** When it is given, beside the operation's first success. */
  readonly when?: string;
  /** The header Location names what was made. */
  readonly location?: true;
  /** The bytes never change under this address. */
  readonly immutable?: true;
  /** Holds a secret: never cached, never compressed. */
  readonly secret?: true;
}

/**
 * One operation, as data: the router validates requests by it and openapi.json prints it, so that the two cannot
 * disagree. Paths are relative to /v1, with `{name}` for parameters.
 */
export interface Route {
  readonly method: 'get' | 'post';
  readonly path: string;
  readonly summary: string;
  /** Parameters that are not named here are refused. */
  readonly query?: z.ZodObject | undefined;
  /** A schema for JSON, or a limit in bytes for an octet stream. */
  readonly body?: z.ZodType | { readonly maxBytes: number } | undefined;
  /** What openapi.json says of a body that the handler's own parser checks. */
  readonly described?: z.ZodType | undefined;
  /** What a token must allow; `read` for get and `measure` for post where left out. */
  readonly scope?: Scope | undefined;
  readonly answer: Success;
  readonly also?: readonly Success[];
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

/** What a caller must be allowed, to use an operation. */
export const scopeOf = ({ scope, method }: Pick<Route, 'scope' | 'method'>): Scope =>
  scope ?? (method === 'get' ? 'read' : 'measure');

export const isJsonBody = (body: Route['body']): body is z.ZodType => body instanceof z.ZodType;

import { z } from 'zod';
import { openPath } from './caller.js';
import { unchanging } from './compress.js';
import { isJsonBody, octets, type Route, type Success, scopeOf } from './route.js';
import { problemSchema } from './schemas.js';

type JsonObject = Record<string, unknown>;

/** Collects the named shapes of one document. */
type Components = Record<string, unknown>;

const made = new WeakMap<readonly Route[], { readonly version: string; readonly text: Buffer }>();

/**
 * The document behind /v1/openapi.json, from the very table that the router serves, as JSON. It is made once: that takes a fifth
 * of a second, and anybody who reaches the port may ask for it.
 */
export function openApiDocument(routes: readonly Route[], version: string): Buffer {
  const known = made.get(routes);
  if (known?.version === version) return known.text;
  const text = unchanging(Buffer.from(JSON.stringify(describe(routes, version))));
  made.set(routes, { version, text });
  return text;
}

function describe(routes: readonly Route[], version: string): JsonObject {
  const paths: Record<string, JsonObject> = {};
  const components: Components = {};
  for (const route of routes) {
    const path = `/v1${route.path}`;
    paths[path] = { ...paths[path], [route.method]: operation(route, components) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'hilda',
      version,
      description: 'Times are in the unit their name carries. The ws channel is described in docs/api.md.',
    },
    paths,
    components: { schemas: components, securitySchemes },
  };
}

const securitySchemes = {
  token: { type: 'http', scheme: 'bearer', description: 'The local user’s token, or one made for somebody.' },
  page: {
    type: 'apiKey',
    in: 'cookie',
    name: 'hilda_4380',
    description: 'The session of the page; the number is the port of the daemon.',
  },
};

function operation(route: Route, components: Components): JsonObject {
  const { answer, also = [], body, described } = route;
  return {
    operationId: operationId(route),
    summary: route.summary,
    tags: [route.path.split('/')[1]],
    security: route.path === openPath ? [] : [{ token: [scopeOf(route)] }, { page: [scopeOf(route)] }],
    parameters: [...pathParameters(route), ...queryParameters(route, components)],
    ...(body && {
      requestBody: {
        required: true,
        content: isJsonBody(body)
          ? jsonContent(described ?? body, 'input', components)
          : { [octets]: {}, 'application/zip': {} },
      },
    }),
    responses: {
      ...Object.fromEntries(
        [answer, ...also].map((one) => [one.status, success(one, route.summary, components)]),
      ),
      default: {
        description: 'A problem document (RFC 9457)',
        content: { 'application/problem+json': { schema: jsonSchema(problemSchema, 'output', components) } },
      },
    },
  };
}

const success = (
  { schema, when, location }: Success,
  summary: string,
  components: Components,
): JsonObject => ({
  description: when ?? summary,
  ...(location && {
    headers: { Location: { description: 'Where it is found from now on.', schema: { type: 'string' } } },
  }),
  content: schema === octets ? { [octets]: {} } : jsonContent(schema, 'output', components),
});

/** `POST /studies/{id}/pause` -> `postStudiesIdPause`. */
const operationId = ({ method, path }: Route): string =>
  method +
  path
    .split(/\W+/)
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('');

const pathParameters = ({ path }: Route): JsonObject[] =>
  [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));

/** As the operation reads them: numbers as such, with what is taken where one is left out. */
function queryParameters({ query }: Route, components: Components): JsonObject[] {
  if (!query) return [];
  const { properties = {} } = jsonSchema(query, 'output', components) as {
    properties?: Record<string, JsonObject>;
  };
  return Object.entries(properties).map(([name, { description, ...schema }]) => ({
    name,
    in: 'query',
    required: false,
    ...(description !== undefined && { description }),
    schema,
  }));
}

const jsonContent = (schema: z.ZodType, io: 'input' | 'output', components: Components): JsonObject => ({
  'application/json': { schema: jsonSchema(schema, io, components) },
});

/** Schemas with an id are moved to the document's components, for all operations. */
function jsonSchema(schema: z.ZodType, io: 'input' | 'output', components: Components): JsonObject {
  const {
    $schema: _,
    $defs = {},
    ...root
  } = z.toJSONSchema(schema, { io, unrepresentable: 'any' }) as JsonObject;
  const name = root.id;
  for (const [id, shape] of Object.entries($defs as JsonObject)) components[nameOf(id)] ??= relink(shape);
  // A schema that refers to itself from its root.
  const linked = relink(root, typeof name === 'string' ? name : anyJson) as JsonObject;
  if (typeof name !== 'string') return linked;
  components[name] ??= linked;
  return { $ref: `#/components/schemas/${name}` };
}

/** Any JSON, the one shape without an id that refers to itself; zod numbers it anew in each schema. */
const anyJson = 'Json';
const nameOf = (id: string): string => (/^__schema\d+$/.test(id) ? anyJson : id);
const address = (reference: string, root: string): string =>
  `#/components/schemas/${reference === '#' ? root : nameOf(reference.replace('#/$defs/', ''))}`;

/**
 * `z.toJSONSchema` speaks of definitions beside each schema; OpenAPI keeps them in one place. `id` is not OpenAPI's word, and
 * the bounds of JavaScript's integers tell a reader nothing.
 */
function relink(shape: unknown, root = anyJson): unknown {
  if (Array.isArray(shape)) return shape.map((one) => relink(one, root));
  if (shape === null || typeof shape !== 'object') return shape;
  const entries = Object.entries(shape).filter(
    ([key, value]) =>
      !(key === 'id' && typeof value === 'string') &&
      !(key === 'minimum' && value === Number.MIN_SAFE_INTEGER) &&
      !(key === 'maximum' && value === Number.MAX_SAFE_INTEGER),
  );
  return Object.fromEntries(
    entries.map(([key, value]) =>
      key === '$ref' && typeof value === 'string' ? [key, address(value, root)] : [key, relink(value, root)],
    ),
  );
}

import { z } from 'zod';
import { octets, type Route } from './route.js';
import { problemSchema } from './schemas.js';

type JsonObject = Record<string, unknown>;

/** Collects the named shapes of one document. */
type Components = Record<string, unknown>;

/** The document behind /v1/openapi.json, from the very table that the router serves. */
export function openApiDocument(routes: readonly Route[], version: string): JsonObject {
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
    components: { schemas: components },
  };
}

function operation(route: Route, components: Components): JsonObject {
  const { answer, body } = route;
  return {
    operationId: operationId(route),
    summary: route.summary,
    parameters: [...pathParameters(route), ...queryParameters(route, components)],
    ...(body && {
      requestBody: {
        required: true,
        content: body instanceof z.ZodType ? jsonContent(body, 'input', components) : { [octets]: {} },
      },
    }),
    responses: {
      [answer.status]: {
        description: route.summary,
        content:
          answer.schema === octets ? { [octets]: {} } : jsonContent(answer.schema, 'output', components),
      },
      default: {
        description: 'A problem document (RFC 9457)',
        content: { 'application/problem+json': { schema: jsonSchema(problemSchema, 'output', components) } },
      },
    },
  };
}

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

function queryParameters({ query }: Route, components: Components): JsonObject[] {
  if (!query) return [];
  const { properties = {} } = jsonSchema(query, 'input', components) as {
    properties?: Record<string, JsonObject>;
  };
  return Object.entries(properties).map(([name, schema]) => ({ name, in: 'query', required: false, schema }));
}

const jsonContent = (schema: z.ZodType, io: 'input' | 'output', components: Components): JsonObject => ({
  'application/json': { schema: jsonSchema(schema, io, components) },
});

/** Schemas with an id are moved to the document's components, whatever operation met them first. */
function jsonSchema(schema: z.ZodType, io: 'input' | 'output', components: Components): JsonObject {
  const {
    $schema: _,
    $defs = {},
    ...root
  } = z.toJSONSchema(schema, { io, unrepresentable: 'any' }) as JsonObject;
  const name = root.id;
  for (const [id, shape] of Object.entries($defs as JsonObject)) components[id] ??= relink(shape);
  if (typeof name !== 'string') return relink(root) as JsonObject;
  components[name] ??= relink(root);
  return { $ref: `#/components/schemas/${name}` };
}

/** `z.toJSONSchema` speaks of definitions beside each schema; OpenAPI keeps them in one place. `id` is not OpenAPI's word. */
function relink(shape: unknown): unknown {
  if (Array.isArray(shape)) return shape.map(relink);
  if (shape === null || typeof shape !== 'object') return shape;
  const entries = Object.entries(shape).filter(
    ([key, value]) => !(key === 'id' && typeof value === 'string'),
  );
  return Object.fromEntries(
    entries.map(([key, value]) =>
      key === '$ref'
        ? [key, String(value).replace('#/$defs/', '#/components/schemas/')]
        : [key, relink(value)],
    ),
  );
}

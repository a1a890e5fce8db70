import { type Rng, randomInt, Xoshiro128 } from '../../../daemon/core/rng.js';
import { openBench } from '../../api/bench.js';
import type { FuzzTarget } from '../guided.js';
import { mutateBytes, mutateValue } from '../mutate.js';

type Shape = Readonly<Record<string, unknown>>;
interface Operation {
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly schema: Shape }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema?: Shape }>> };
}
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Shape>> };
}

interface Request {
  readonly method: string;
  readonly path: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly query: Readonly<Record<string, unknown>>;
  readonly body: unknown;
}

const localToken = 'of-the-local-user';
const known = ['fake-0', 'study-1', 'predictor-1', 'specialisation-1', 'j1', 'm1', '1', 'a'.repeat(64)];

/** The whole API in this process, asked what its own document says, and things beside it. */
export async function httpTarget(): Promise<FuzzTarget<Request>> {
  const ends: (() => unknown)[] = [];
  const teardown = (end: () => unknown): void => void ends.unshift(end);
  const { url, studies } = await openBench({ teardown } as unknown as Parameters<typeof openBench>[0], {
    localToken,
  });
  const { id } = await studies.create({ name: 's', objectives: [] });
  await studies.finishTrial(id);
  const headers = { authorization: `Bearer ${localToken}` };
  const document = (await (await fetch(`${url}/v1/openapi.json`, { headers })).json()) as Document;
  const rng = Xoshiro128.fromSeed(9);
  return {
    name: 'http',
    seeds: () =>
      Object.entries(document.paths).flatMap(([path, methods]) =>
        Object.entries(methods).flatMap(([method, operation]) =>
          Array.from({ length: 3 }, () => example(path, method, operation, document, rng)),
        ),
      ),
    mutate: (given, corpus, draw) => {
      const changed = mutateValue(
        { parameters: given.parameters, query: given.query, body: given.body },
        corpus,
        draw,
      ) as Partial<Request> | null;
      return { ...given, parameters: {}, query: {}, body: null, ...asObject(changed) } as Request;
    },
    run: async (request) => {
      const { address, init } = sent(request, url, rng);
      const response = await fetch(address, { ...init, headers: { ...headers, ...init.headers } });
      const body = (await response.json().catch(() => null)) as { readonly code?: string } | null;
      if (response.status < 400) return;
      const type = response.headers.get('content-type') ?? '';
      if (!type.startsWith('application/problem+json') || body?.code === undefined)
        throw new Error(`${response.status} without a problem document (${type})`);
      if (body.code === 'INTERNAL' || response.status === 500)
        throw new Error(`${response.status} ${JSON.stringify(body).slice(0, 300)}`);
    },
    close: async () => {
      for (const end of ends) await end();
    },
  };
}

const asObject = (value: unknown): object => (typeof value === 'object' && value !== null ? value : {});

function sent({ method, path, parameters, query, body }: Request, url: string, rng: Rng) {
  const text = (value: unknown): string =>
    typeof value === 'string' ? value : (JSON.stringify(value) ?? '').slice(0, 2000);
  const named = asObject(parameters) as Record<string, unknown>;
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) =>
    encoded(text(Object.hasOwn(named, name) ? named[name] : known[randomInt(rng, known.length)])),
  );
  const asked = Object.entries(asObject(query))
    .map(([name, value]) => `${encoded(name)}=${encoded(text(value))}`)
    .join('&')
    .slice(0, 4000);
  const address = `${url}${filled}${asked === '' ? '' : `?${asked}`}`;
  const init: RequestInit & { headers: Record<string, string> } = {
    method: method.toUpperCase(),
    headers: {},
  };
  if (method === 'post') {
    init.headers['content-type'] = /models|blobs/.test(path)
      ? 'application/octet-stream'
      : 'application/json';
    const written = Buffer.from(JSON.stringify(body ?? null));
    // Now and then what is no JSON at all.
    init.body = rng.next() < 0.05 ? Buffer.from(mutateBytes(written, [written], rng)) : written;
  }
  return { address, init };
}

/** A lone surrogate is no text of an address. */
const encoded = (text: string): string => encodeURIComponent(Buffer.from(text).toString('utf8'));

function example(path: string, method: string, operation: Operation, document: Document, rng: Rng): Request {
  const of = (place: string): Record<string, unknown> =>
    Object.fromEntries(
      (operation.parameters ?? [])
        .filter((parameter) => parameter.in === place && (place === 'path' || rng.next() < 0.5))
        .map(({ name, schema }) => [
          name,
          place === 'path' ? pickKnown(rng) : exampleOf(schema, document, rng),
        ]),
    );
  const shape = operation.requestBody?.content['application/json']?.schema;
  return {
    method,
    path,
    parameters: of('path'),
    query: of('query'),
    body: shape ? exampleOf(shape, document, rng) : null,
  };
}

const pickKnown = (rng: Rng): string => known[randomInt(rng, known.length)] as string;

/** Some value of a shape. */
function exampleOf(shape: Shape, document: Document, rng: Rng, depth = 0): unknown {
  const { $ref, enum: names, const: fixed, anyOf, oneOf, allOf, type, properties, items, required } = shape;
  if (typeof $ref === 'string') {
    const name = $ref.slice($ref.lastIndexOf('/') + 1);
    return exampleOf(document.components.schemas[name] ?? {}, document, rng, depth + 1);
  }
  if (fixed !== undefined) return fixed;
  if (Array.isArray(names)) return names[randomInt(rng, names.length)];
  const choices = (anyOf ?? oneOf ?? allOf) as readonly Shape[] | undefined;
  if (choices) return exampleOf(choices[randomInt(rng, choices.length)] ?? {}, document, rng, depth + 1);
  switch (type) {
    case 'object':
      return Object.fromEntries(
        Object.entries((properties ?? {}) as Record<string, Shape>)
          .filter(
            ([name]) => (required as string[] | undefined)?.includes(name) || (depth < 4 && rng.next() < 0.4),
          )
          .map(([name, inner]) => [name, exampleOf(inner, document, rng, depth + 1)]),
      );
    case 'array':
      return depth > 5 ? [] : [exampleOf((items ?? {}) as Shape, document, rng, depth + 1)];
    case 'integer':
      return randomInt(rng, 20);
    case 'number':
      return rng.next();
    case 'boolean':
      return rng.next() < 0.5;
    case 'null':
      return null;
    default:
      return pickKnown(rng);
  }
}

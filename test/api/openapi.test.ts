import { gunzipSync } from 'node:zlib';
import t from 'tap';
import { z } from 'zod';
import { HildaError, toErrorDocument } from '../../daemon/core/errors.js';
import { sha256Hex } from '../../daemon/core/hash.js';
import type { DeviceId } from '../../daemon/core/ids.js';
import { profilesDir } from '../../daemon/process/installation.js';
import { rolloutSpecSchema } from '../../daemon/rollouts/request.js';
import { loadSpace } from '../../daemon/search/spaces/registry.js';
import type { Store } from '../../daemon/store/contract.js';
import type { RolloutState } from '../../daemon/store/rollout-contract.js';
import { findSpace } from '../../daemon/study/parts.js';
import { alert } from '../contract/store-samples.js';
import { until } from '../until.js';
import { deviceId, modelBytes, openBench, storePredictor } from './bench.js';

type Shape = Parameters<typeof z.fromJSONSchema>[0];
interface Media {
  readonly schema?: Shape;
}
interface Success {
  readonly content: Record<string, Media>;
  readonly headers?: { readonly Location?: unknown };
}
interface Operation {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly parameters: readonly { readonly name: string; readonly in: string; readonly schema: Shape }[];
  readonly requestBody?: { readonly content: Record<string, Media> };
  readonly responses: Record<string, Success>;
  readonly security: readonly { readonly token?: readonly string[] }[];
}
interface Document {
  readonly openapi: string;
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { readonly schemas: Record<string, Shape> };
}
/** Body left out: the document says what is sent. */
interface Asked {
  readonly path: string;
  readonly body?: unknown;
}

const bytes = 'application/octet-stream';
/** The local user's. */
const localToken = 'of-the-local-user';

/** The document's own shapes as checks: read from its JSON, by a reader that knows nothing of our schemas. */
function checker({ components }: Document): (shape: Shape, value: unknown) => string | undefined {
  const local = (shape: unknown): unknown =>
    JSON.parse(JSON.stringify(shape).replaceAll('#/components/schemas/', '#/$defs/'));
  const $defs = local(components.schemas) as Record<string, Shape>;
  const known = new Map<Shape, z.ZodType>();
  return (shape, value) => {
    const check = known.get(shape) ?? z.fromJSONSchema({ ...(local(shape) as object), $defs } as Shape);
    known.set(shape, check);
    const parsed = check.safeParse(value);
    return parsed.success ? undefined : z.prettifyError(parsed.error);
  };
}

function send(url: string, method: string, { path, body }: Asked, headers: Record<string, string> = {}) {
  const isBytes = body instanceof Uint8Array;
  return fetch(`${url}${path}`, {
    method: method.toUpperCase(),
    headers: {
      authorization: `Bearer ${localToken}`,
      ...(body !== undefined && { 'content-type': isBytes ? bytes : 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: isBytes ? Buffer.from(body) : JSON.stringify(body) }),
  });
}

/** A table of every layer's choices, as FBNet's is published. */
function fbnetTable(): string {
  const layers = (loadSpace(findSpace('mbconv-fmnist', profilesDir)).dims ?? []).map(
    ({ choices }) => choices,
  );
  const names = [...new Set(layers.flat())];
  const line = (own: readonly unknown[]) => names.map((n) => (own.includes(n) ? 5 : '-')).join(' ');
  return [names.join(' '), ...layers.map(line)].join('\n');
}

/** A rollout in a state, with a device of its own that is away. */
async function rolloutIn(state: RolloutState, store: Store): Promise<string> {
  const of = { ...(await store.device(deviceId)), id: `rolled-${await store.rolloutCount()}` as DeviceId };
  await store.upsertDevice(of);
  await store.setDeviceState(of.id, 'adopted');
  const request = {
    ...rolloutSpecSchema.parse({ model: 'a'.repeat(64), devices: of.id }),
    network: { model: 'a'.repeat(64) },
    inputs: null,
    structureHash: 'b'.repeat(64),
    weightsHash: 'c'.repeat(64),
    source: 'a model',
    waves: [1],
    promises: { any: { kind: 'exact', metric: 'cycles', value: 1, source: 'm1 on board' } },
  };
  const devices = [{ deviceId: of.id, wave: 0, body: {} }];
  const { id } = await store.addRollout({ name: 'keyword', request: request as never, devices });
  await store.stepDevice(id, of.id, {
    step: 'restored',
    reason: toErrorDocument(new HildaError('DEVICE_GONE', 'it left')),
  });
  await store.setRollout(id, ['checking'], { state });
  return id;
}

/** A daemon that holds one of everything, and a request for each operation that must succeed. */
async function prepared(t: Parameters<typeof openBench>[0]) {
  const { url, studies, keys, store, jobs } = await openBench(t, { localToken });
  // What nobody trusts any more must not be what others measure on.
  await store.upsertDevice({ ...(await store.device(deviceId)), id: 'spare' as DeviceId });
  await store.raiseAlerts({ alerts: [{ ...alert, deviceId }], returned: [], watchedUpTo: 0 });
  await store.addMute({ deviceId, structureHash: null, metric: null, untilMs: null, note: '', by: 'anna' });
  await store.addWebhook({ url: 'http://127.0.0.1:9/', secret: 'whsec_eA==', by: 'anna' });
  const joiner = await keys.redeem('agent', (await keys.issue('agent')).token, 'a GPU box');
  const model = sha256Hex(modelBytes);
  const predictor = await storePredictor(store);
  const { id } = await studies.create({ name: 's', objectives: [] });
  await studies.finishTrial(id);
  await studies.finishTrial(id);
  await store.upsertDevice({ ...(await store.device(deviceId)), id: 'rolling' as DeviceId });
  await store.setDeviceState('rolling' as DeviceId, 'adopted');
  const devicePath = `/v1/devices/${deviceId}`;
  const predictorPath = `/v1/predictors/${predictor.id}`;
  const spec = {
    name: 'another',
    space: 'mbconv-fmnist',
    devices: [deviceId],
    constraints: [{ metric: 'peakBytes', max: 1e6 }],
    budget: { trials: 10, maxMinutes: 5 },
  };
  const requests: Record<string, Asked> = {
    'post /v1/access/tokens': { path: '/v1/access/tokens', body: { name: 'x', scope: 'read', days: 1 } },
    'post /v1/models': { path: '/v1/models', body: modelBytes },
    'post /v1/blobs': { path: '/v1/blobs', body: modelBytes },
    'post /v1/measurements': {
      path: '/v1/measurements',
      body: { model, device: deviceId, inputs: { x: { range: [0, 1] } } },
    },
    'post /v1/profiles': { path: '/v1/profiles', body: { model, device: deviceId } },
    'post /v1/deployments': { path: '/v1/deployments', body: { model, device: deviceId } },
    'post /v1/deployments/run': {
      path: '/v1/deployments/run',
      body: { device: deviceId, input: [1, 2, 3, 4] },
    },
    'post /v1/devices/{id}/quarantine': { path: '/v1/devices/spare/quarantine', body: { reason: 'hot' } },
    'post /v1/devices/{id}/release': { path: '/v1/devices/spare/release', body: { relearn: true } },
    'post /v1/devices/{id}/ignore': { path: '/v1/devices/spare/ignore', body: {} },
    'post /v1/devices/{id}/tags': { path: `${devicePath}/tags`, body: { tags: ['shelf=2'] } },
    'post /v1/devices/{id}/compare': { path: `${devicePath}/compare`, body: { with: 'fake-1' } },
    'post /v1/webhooks': { path: '/v1/webhooks', body: { url: 'https://chat.example.org/hooks/x' } },
    'post /v1/alerts/mutes': { path: '/v1/alerts/mutes', body: { device: deviceId, metric: 'latencyUs' } },
    'post /v1/alerts/{id}/acknowledge': { path: '/v1/alerts/alert-1/acknowledge', body: { note: 'known' } },
    'post /v1/studies': { path: '/v1/studies', body: spec },
    'get /v1/studies/{id}/columns': { path: `/v1/studies/${id}/columns?metrics=accuracy` },
    'post /v1/studies/{id}/ask': { path: `/v1/studies/${id}/ask`, body: { n: 3, waitMs: 0 } },
    'post /v1/studies/{id}/tell': {
      path: `/v1/studies/${id}/tell`,
      body: { results: [{ number: 0, values: { accuracy: 0.5 } }], waitMs: 0 },
    },
    'post /v1/specialisations': {
      path: '/v1/specialisations',
      body: { spec: {}, devices: ['a', 'b'] },
    },
    'post /v1/joiners/invite': { path: '/v1/joiners/invite', body: { kind: 'page' } },
    'post /v1/campaigns': {
      path: '/v1/campaigns',
      body: { device: deviceId, space: 'mbconv-fmnist', protocol: 'quick' },
    },
    'post /v1/benchmarks': {
      path: '/v1/benchmarks',
      body: { suite: 'nightly', networks: [{ model }], devices: [deviceId], protocol: 'quick' },
    },
    'post /v1/benchmarks/imports': {
      path: '/v1/benchmarks/imports',
      body: { files: [{ name: 'a.csv', text: 'network,latency_us,device\nkws,12.5,board\n' }] },
    },
    'post /v1/schedules': {
      path: '/v1/schedules',
      body: { name: 'health', kind: 'health', cron: '0 3 * * *', timezone: 'UTC', devices: [deviceId] },
    },
    'post /v1/rollouts': {
      path: '/v1/rollouts',
      body: {
        model,
        devices: ['rolling'],
        promise: [{ metric: 'latencyUs', low: 1, high: 1000 }],
        deadlineS: 0.1,
      },
    },
    'post /v1/rollouts/{id}/pause': { path: `/v1/rollouts/${await rolloutIn('running', store)}/pause` },
    'post /v1/rollouts/{id}/resume': { path: `/v1/rollouts/${await rolloutIn('paused', store)}/resume` },
    'post /v1/rollouts/{id}/abort': {
      path: `/v1/rollouts/${await rolloutIn('stopped', store)}/abort`,
      body: { keep: true },
    },
    'post /v1/predictors/{id}/predict': {
      path: `${predictorPath}/predict`,
      body: { architectures: [predictor.architecture], device: deviceId },
    },
    'post /v1/predictors/import': {
      path: '/v1/predictors/import',
      body: {
        files: [{ name: 'layers.txt', text: fbnetTable() }],
        format: 'fbnet',
        device: deviceId,
        space: 'mbconv-fmnist',
      },
    },
    'post /v1/predictors/{id}/probe': { path: `${predictorPath}/probe`, body: { count: 1 } },
    'post /v1/predictors/{id}/schedule': {
      path: `${predictorPath}/schedule`,
      body: { cron: '0 3 1 1 *', count: 5 },
    },
  };
  const tokenOf = async (scope: string) =>
    (await (await send(url, 'post', { path: '/v1/access/tokens', body: { name: scope, scope } })).json()) as {
      id: string;
      token: string;
    };
  const lesser = { measure: await tokenOf('read'), admin: await tokenOf('measure') };
  const later = async () =>
    (
      await jobs.submit({
        work: { kind: 'reset' },
        devices: { device: deviceId },
        owner: { kind: 'person' },
        runAtMs: 2 ** 42,
      })
    ).record.id;
  await store.upsertDevice({ ...(await store.device(deviceId)), id: 'held' as DeviceId });
  const lease = await store.acquireLease('held' as DeviceId, 'lease:anna', 600_000);
  const token = lease?.token;
  requests['post /v1/leases'] = { path: '/v1/leases', body: { device: 'spare', name: 'anna' } };
  requests['post /v1/retention/prune'] = { path: '/v1/retention/prune', body: { dryRun: true } };
  requests['post /v1/leases/{id}/renew'] = { path: '/v1/leases/held/renew', body: { token } };
  requests['post /v1/leases/{id}/release'] = { path: '/v1/leases/held/release', body: { token } };
  const cancelled = await later();
  await jobs.cancel(cancelled);
  requests['post /v1/jobs/{id}/cancel'] = { path: `/v1/jobs/${await later()}/cancel` };
  requests['post /v1/jobs/{id}/retry'] = { path: `/v1/jobs/${cancelled}/retry` };
  const { id: journalled } = await store.createStudy({
    name: 'journalled',
    spec: { name: 'journalled', space: 'mbconv-fmnist', devices: [deviceId], budget: { trials: 1 } },
    sampler: null,
    rng: [1, 2, 3, 4],
  });
  requests['get /v1/studies/{id}/journal'] = { path: `/v1/studies/${journalled}/journal` };
  // What the walk looks at exists before it starts.
  await send(url, 'post', requests['post /v1/models'] as Asked);
  await send(url, 'post', requests['post /v1/campaigns'] as Asked);
  const started = await send(url, 'post', requests['post /v1/benchmarks'] as Asked);
  const { id: run } = (await started.json()) as { id: string };
  await until(async () => (await store.benchmarkRun(run)).state === 'done', 'the run ends');
  // Its device is away.
  const waiting = await send(url, 'post', {
    path: '/v1/benchmarks',
    body: { suite: 'waiting', networks: [{ model }], devices: ['held'], waitMinutes: 1000 },
  });
  const { id: open } = (await waiting.json()) as { id: string };
  requests['post /v1/benchmarks/{id}/cancel'] = { path: `/v1/benchmarks/${open}/cancel` };
  const job = await send(url, 'post', {
    path: '/v1/measurements?wait=false',
    body: { model, device: deviceId, protocol: 'quick' },
  });
  const ids: readonly [prefix: string, id: string][] = [
    ['/v1/access/tokens/', (await tokenOf('read')).id],
    ['/v1/webhooks/', 'webhook-1'],
    ['/v1/alerts/mutes/', 'mute-1'],
    ['/v1/alerts/', 'alert-1'],
    ['/v1/campaigns/', '1'],
    ['/v1/benchmarks/', run],
    ['/v1/predictors/', predictor.id],
    ['/v1/joiners/', joiner.id],
    ['/v1/devices/', deviceId],
    ['/v1/measurements/', 'm1'],
    ['/v1/studies/', id],
    ['/v1/specialisations/', 'specialisation-1'],
    ['/v1/jobs/', cancelled],
    ['/v1/rollouts/', await rolloutIn('done', store)],
  ];
  const pathOf = (path: string): string =>
    path
      .replace('{id}', ids.find(([prefix]) => path.startsWith(prefix))?.[1] ?? '')
      .replace('{number}', '0')
      .replace('{name}', 'health')
      .replace('{other}', '1')
      .replace('{sha256}', model);
  const asked = (method: string, path: string): Asked =>
    requests[`${method} ${path}`] ?? { path: pathOf(path) };
  return { url, asked, job, lesser };
}

t.test('every operation of openapi.json does what it promises', async (t) => {
  const { url, asked, job, lesser } = await prepared(t);
  const document = (await (await fetch(`${url}/v1/openapi.json`)).json()) as Document;
  t.equal(document.openapi, '3.1.0');
  const faultOf = checker(document);
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  t.ok(operations.length > 50, `${operations.length} operations`);
  t.equal(new Set(operations.map(({ operation }) => operation.operationId)).size, operations.length);
  for (const [, ref = ''] of JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g))
    t.ok(ref.replace('#/components/schemas/', '') in document.components.schemas, ref);
  t.notMatch(JSON.stringify(document), /__schema/);

  const isProblem = async (response: Response, { responses }: Operation, told: string): Promise<void> => {
    const [type, media] = Object.entries(responses.default?.content ?? {})[0] ?? [];
    t.match(response.headers.get('content-type'), type, told);
    t.equal(response.headers.get('cache-control'), 'no-store', told);
    const body = (await response.json()) as { status: number };
    t.equal(faultOf(media?.schema as Shape, body), undefined, told);
    t.equal(body.status, response.status, told);
  };

  t.equal(job.status, 202);
  const accepted = document.paths['/v1/measurements']?.post?.responses['202'];
  t.equal(faultOf(accepted?.content['application/json']?.schema as Shape, await job.json()), undefined);
  const found = async (path: string | null) => (await send(url, 'get', { path: String(path) })).status;
  t.equal(await found(job.headers.get('location')), 200);

  for (const { path, method, operation } of operations) {
    const name = `${method} ${path}`;
    const request = asked(method, path);
    const documented = operation.requestBody?.content['application/json']?.schema;
    if (documented)
      t.equal(faultOf(documented, request.body), undefined, `${name}: the request is documented`);

    const response = await send(url, method, request);
    const success = operation.responses[response.status];
    const [type, media] = Object.entries(success?.content ?? {})[0] ?? [];
    t.ok(success, `${name} answers ${response.status}, which is documented`);
    t.match(response.headers.get('content-type'), type, name);
    const answer = Buffer.from(await response.arrayBuffer());
    if (media?.schema) t.equal(faultOf(media.schema, JSON.parse(answer.toString())), undefined, name);
    else if (path.endsWith('/journal')) t.match(gunzipSync(answer).toString(), /^{"hilda":"journal"/, name);
    else t.same(new Uint8Array(answer), modelBytes, name);
    const location = response.headers.get('location');
    t.equal(location !== null, success?.headers?.Location !== undefined, `${name}: ${location}`);
    if (location !== null) t.equal(await found(location), 200, `${name}: ${location}`);
    t.equal(
      response.status === 201,
      response.status === 201 && location !== null,
      `${name}: 201 has a place`,
    );

    const [needed] = operation.security[0]?.token ?? [];
    t.equal(needed === undefined, path === '/v1/openapi.json', `${name}: its scope is documented`);
    const stranger = await send(url, method, request, { authorization: 'Bearer guessed' });
    t.equal(stranger.status, needed === undefined ? 200 : 401, `${name}: a stranger`);
    if (stranger.status === 401) await isProblem(stranger, operation, name);
    if (needed === 'measure' || needed === 'admin') {
      const authorization = `Bearer ${lesser[needed].token}`;
      const refused = await send(url, method, request, { authorization });
      t.equal(refused.status, 403, `${name}: a token of a lesser scope`);
      await isProblem(refused, operation, name);
    }

    const asks = (suffix: string): Asked => ({ ...request, path: `${request.path}${suffix}` });
    const unknown = await send(url, method, asks('?nonsense=1'));
    t.equal(unknown.status, 400, `${name}: an unknown parameter`);
    await isProblem(unknown, operation, name);
    const other = await send(url, 'delete', { path: request.path });
    t.equal(other.status, 405, name);
    t.match(other.headers.get('allow'), method.toUpperCase(), name);
    await isProblem(other, operation, name);
    for (const { name: parameter, schema } of operation.parameters.filter(
      ({ in: place }) => place === 'query',
    ))
      if (faultOf(schema, 'nonsense') !== undefined) {
        const wrong = await send(url, method, asks(`?${parameter}=nonsense`));
        t.equal(wrong.status, 400, `${name}: ${parameter}`);
      }
    if (/\{id\}|\{sha256\}/.test(path)) {
      const nobody = path.replace(/\{\w+\}/g, 'nobody-9');
      const missing = await send(url, method, { ...request, path: nobody });
      t.ok(missing.status >= 400 && missing.status < 500, `${name}: ${missing.status}`);
      await isProblem(missing, operation, `${name}: an unknown id`);
    }
    if (documented) {
      t.not(faultOf(documented, 7), undefined, `${name}: a number is no body`);
      const wrong = await send(url, method, { ...request, body: 7 });
      t.ok(wrong.status === 400 || wrong.status === 422, `${name}: ${wrong.status}`);
      await isProblem(wrong, operation, name);
      const text = await send(url, method, request, { 'content-type': 'text/plain' });
      t.equal(text.status, 415, name);
      await isProblem(text, operation, name);
    }
  }
});

t.test('every list comes in pages, and takes no parameter that it does not know', async (t) => {
  const { url } = await openBench(t, { localToken });
  const { paths } = (await (await fetch(`${url}/v1/openapi.json`)).json()) as Document;
  const lists: string[] = [];
  for (const [path, { get }] of Object.entries(paths)) {
    const shape = get?.responses['200']?.content['application/json']?.schema as
      | { properties?: Record<string, { type?: string; anyOf?: unknown[] }> }
      | undefined;
    // Lists of things: not those of one thing, nor what follows events.
    if (!get || path.includes('{') || ['/v1/events', '/v1/health', '/v1/openapi.json'].includes(path))
      continue;
    const arrays = Object.entries(shape?.properties ?? {}).filter(([, { type }]) => type === 'array');
    if (arrays.length === 0) continue;
    lists.push(path);
    t.equal(shape?.properties?.total?.type, 'integer', path);
    t.ok(shape?.properties?.next, path);
    t.ok(
      get.parameters.some(({ name }) => name === 'limit'),
      path,
    );
    for (const query of ['surprise=1', 'limit=0', 'limit=x'])
      t.equal((await send(url, 'get', { path: `${path}?${query}` })).status, 400, `${path}?${query}`);
    const { status } = await send(url, 'get', { path: `${path}?limit=1` });
    t.equal(status, 200, path);
  }
  t.ok(lists.length >= 10, `${lists}`);
});

t.test('what is counted is an integer, and the study is described', async (t) => {
  const { url } = await openBench(t);
  const { paths, components } = (await (await fetch(`${url}/v1/openapi.json`)).json()) as Document;
  const schemas = components.schemas as Record<string, { properties?: Record<string, { type?: unknown }> }>;
  t.equal(schemas.Trial?.properties?.number?.type, 'integer');
  t.equal(schemas.Target?.properties?.threads?.type, 'integer');
  t.same(
    paths['/v1/studies/{id}/trials']?.get?.parameters
      .filter(({ in: place }) => place === 'query')
      .map(({ name, schema }) => [name, (schema as { type?: string }).type]),
    [
      ['from', 'integer'],
      ['state', 'string'],
      ['where', 'string'],
      ['limit', 'integer'],
      ['sort', 'string'],
      ['after', 'integer'],
      ['architecture', 'string'],
    ],
  );
  t.match(Object.keys(schemas.StudySpec?.properties ?? {}), ['name', 'space', 'sampler']);
});

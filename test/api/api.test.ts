import { request } from 'node:http';
import t from 'tap';
import { z } from 'zod';
import { DaemonClient } from '../../daemon/api/client.js';
import { routes } from '../../daemon/api/routes/index.js';
import { problemSchema } from '../../daemon/api/schemas.js';
import { profilesDir } from '../../daemon/cli/installation.js';
import { sha256Hex } from '../../daemon/core/hash.js';
import type { StudyId } from '../../daemon/core/ids.js';
import { loadSpace } from '../../daemon/search/spaces/registry.js';
import { findSpace } from '../../daemon/study/parts.js';
import { freePort } from '../android/adb-bench.js';
import { deviceId, modelBytes, openBench, storePredictor } from './bench.js';

const { signal } = new AbortController();

interface Reply {
  readonly status: number;
  readonly body: unknown;
  readonly headers: Headers;
}

async function call(url: string, path: string, init: RequestInit = {}): Promise<Reply> {
  const response = await fetch(`${url}${path}`, init);
  const text = await response.text();
  return { status: response.status, body: text === '' ? null : JSON.parse(text), headers: response.headers };
}

const post = (body: unknown): RequestInit => ({ method: 'POST', body: JSON.stringify(body) });
const problem = ({ body }: Reply) => problemSchema.parse(body);

/** With headers that fetch does not let one set. */
const statusWith = (url: string, headers: Record<string, string>): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    request(`${url}/v1/health`, { headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', reject)
      .end();
  });

t.test('every operation answers in the shape that openapi.json promises', async (t) => {
  const { url, studies, keys, store } = await openBench(t);
  const joiner = await keys.redeem('agent', (await keys.issue('agent')).token, 'a GPU box');
  const model = sha256Hex(modelBytes);
  const predictor = await storePredictor(store);
  const space = loadSpace(findSpace('mbconv-fmnist', profilesDir));
  const calls: Record<string, [path: string, init?: RequestInit]> = {};
  const uploaded = await call(url, '/v1/models', { method: 'POST', body: modelBytes });
  t.equal(uploaded.status, 201);
  t.match(uploaded.body, { sha256: model });
  const created = await call(url, '/v1/studies', post({ name: 's', objectives: [] }));
  const id = (created.body as { id: StudyId }).id;
  await studies.finishTrial(id);
  const measured = await call(url, '/v1/measurements', post({ model, device: deviceId }));
  const measurementId = (measured.body as { id: string }).id;
  t.equal(measured.status, 201);
  await call(url, '/v1/measurements?wait=false', post({ model, device: deviceId, protocol: 'quick' }));

  calls['post /models'] = ['/models', { method: 'POST', body: modelBytes }];
  calls['post /measurements'] = ['/measurements', post({ model, device: deviceId })];
  calls['post /profiles'] = ['/profiles', post({ model, device: deviceId })];
  for (const how of ['quarantine', 'ignore'])
    calls[`post /devices/{id}/${how}`] = [`/devices/${deviceId}/${how}`, post({ reason: 'hot' })];
  calls['post /devices/{id}/tags'] = [`/devices/${deviceId}/tags`, post({ tags: ['shelf=2'] })];
  calls['post /devices/{id}/compare'] = [`/devices/${deviceId}/compare`, post({ with: 'fake-1' })];
  calls['post /deployments'] = ['/deployments', post({ model, device: deviceId })];
  calls['post /deployments/run'] = ['/deployments/run', post({ device: deviceId, input: [1, 2] })];
  calls['post /studies'] = ['/studies', post({ name: 'another' })];
  calls['post /specialisations'] = ['/specialisations', post({ spec: {}, devices: ['a', 'b'] })];
  calls['post /joiners/invite'] = ['/joiners/invite', post({ kind: 'page' })];
  const campaign = post({ device: deviceId, space: 'mbconv-fmnist', protocol: 'quick' });
  await call(url, '/v1/campaigns', campaign);
  calls['post /campaigns'] = ['/campaigns', campaign];
  calls['post /predictors/{id}/predict'] = [
    `/predictors/${predictor.id}/predict`,
    post({ architectures: [predictor.architecture], device: deviceId }),
  ];
  const layers = (space.dims ?? []).map(({ choices }) => choices);
  const names = [...new Set(layers.flat())];
  const text = [
    names.join(' '),
    ...layers.map((own) => names.map((n) => (own.includes(n) ? 5 : '-')).join(' ')),
  ];
  calls['post /predictors/import'] = [
    '/predictors/import',
    post({
      files: [{ name: 'layers.txt', text: text.join('\n') }],
      format: 'fbnet',
      device: deviceId,
      space: 'mbconv-fmnist',
    }),
  ];
  calls['post /predictors/{id}/probe'] = [`/predictors/${predictor.id}/probe`, post({ count: 1 })];
  calls['post /predictors/{id}/schedule'] = [
    `/predictors/${predictor.id}/schedule`,
    post({ cron: '0 3 1 1 *', count: 5 }),
  ];
  const ids: Record<string, string> = {
    '/campaigns/{id}': '1',
    '/predictors/{id}': predictor.id,
    '/joiners/{id}': joiner.id,
    '/devices/{id}': deviceId,
    '/measurements/{id}': measurementId,
    '/studies/{id}': id,
    '/specialisations/{id}': 'specialisation-1',
    '/jobs/{id}': '2',
  };
  for (const route of routes) {
    const key = `${route.method} ${route.path}`;
    const owner = Object.keys(ids).find((prefix) => route.path.startsWith(prefix));
    const path = (owner ? route.path.replace('{id}', ids[owner] as string) : route.path)
      .replace('{number}', '0')
      .replace('{other}', '1')
      .replace('{sha256}', model);
    const [target, init] = calls[key] ?? [path, { method: route.method.toUpperCase() }];
    if (!(route.answer.schema instanceof z.ZodType)) {
      const response = await fetch(`${url}/v1${target}`);
      t.same(new Uint8Array(await response.arrayBuffer()), modelBytes, key);
      continue;
    }
    const reply = await call(url, `/v1${target}`, init);
    t.equal(reply.status, route.answer.status, `${key}: ${JSON.stringify(reply.body)}`);
    const parsed = route.answer.schema.safeParse(reply.body);
    t.ok(parsed.success, `${key} ${parsed.success ? '' : z.prettifyError(parsed.error)}`);
  }

  const { body } = await call(url, '/v1/openapi.json');
  const document = body as {
    openapi: string;
    paths: Record<string, object>;
    components: { schemas: Record<string, unknown> };
  };
  t.equal(document.openapi, '3.1.0');
  t.equal(Object.values(document.paths).flatMap((path) => Object.keys(path)).length, routes.length);
  const refs = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, ref]) => ref as string);
  t.ok(refs.length > 10);
  for (const ref of new Set(refs)) {
    t.ok(ref.replace('#/components/schemas/', '') in document.components.schemas, `${ref} resolves`);
  }
});

t.test('faults come as problem documents with their code and status', async (t) => {
  const { url } = await openBench(t);
  const model = 'f'.repeat(64);
  await call(url, '/v1/models', { method: 'POST', body: modelBytes });
  const known = sha256Hex(modelBytes);
  const table: [code: string, status: number, path: string, init?: RequestInit][] = [
    ['NOT_FOUND', 404, '/v1/nothing'],
    ['DEVICE_UNKNOWN', 404, '/v1/devices/toaster'],
    ['STUDY_UNKNOWN', 404, '/v1/studies/none/trials'],
    ['NOT_FOUND', 404, `/v1/models/${model}`],
    ['NOT_FOUND', 404, '/v1/models/..%2F..%2Fetc%2Fpasswd'],
    ['NOT_FOUND', 404, '/v1/jobs/99'],
    ['NOT_FOUND', 404, '/v1/measurements/none'],
    ['ONNX_INVALID', 422, '/v1/models', { method: 'POST', body: 'rubbish' }],
    ['ONNX_INVALID', 422, '/v1/models', { method: 'POST' }],
    ['REQUEST_INVALID', 400, '/v1/measurements', { method: 'POST', body: '{not json' }],
    ['REQUEST_INVALID', 400, '/v1/measurements', post({ model: 'short', device: deviceId })],
    ['REQUEST_INVALID', 400, '/v1/measurements', post({ model, device: deviceId, extra: 1 })],
    ['REQUEST_INVALID', 400, '/v1/events?since=-1'],
    ['REQUEST_INVALID', 400, '/v1/studies', { method: 'POST', body: `"${'x'.repeat(2 * 1024 * 1024)}"` }],
    ['DEVICE_UNKNOWN', 404, '/v1/measurements', post({ model: known, device: 'toaster' })],
    ['NOT_FOUND', 404, '/v1/measurements', post({ model, device: deviceId })],
    [
      'PROTOCOL_UNKNOWN',
      422,
      '/v1/measurements',
      post({ model: known, device: deviceId, protocol: 'unheard-of' }),
    ],
    ['SPEC_INVALID', 422, '/v1/studies', post({})],
  ];
  for (const [code, status, path, init] of table) {
    const reply = await call(url, path, init);
    t.equal(problem(reply).code, code, path);
    t.equal(reply.status, status, path);
    t.match(reply.headers.get('content-type'), /^application\/problem\+json/);
  }
});

t.test('a measurement without waiting is a job that ends', async (t) => {
  const { url } = await openBench(t);
  const client = new DaemonClient(url);
  const { sha256: model } = await client.uploadModel(modelBytes, { signal });
  const settle = async (protocol: string) => {
    let job = await client.startMeasurement({ model, device: deviceId, protocol }, { signal });
    while (job.state === 'running') job = await client.job(job.id, { signal });
    return job;
  };
  t.match(await settle('quick'), {
    state: 'done',
    measurement: { deviceId, verdict: 'valid' },
    problem: null,
  });
  t.match(await settle('unheard-of'), {
    state: 'failed',
    measurement: null,
    problem: { code: 'PROTOCOL_UNKNOWN' },
  });
});

t.test('only this machine and its own pages are answered', async (t) => {
  const { url } = await openBench(t);
  const { host, port } = new URL(url);
  t.equal(await statusWith(url, { host: `localhost:${port}` }), 200);
  t.equal(await statusWith(url, { host, origin: url }), 200);
  t.equal(await statusWith(url, { host: `rebound.example:${port}` }), 403);
  t.equal(await statusWith(url, { host: `127.0.0.1.example:${port}` }), 403);
  t.equal(await statusWith(url, { host, origin: 'https://evil.example' }), 403);
  t.equal(await statusWith(url, { host, origin: 'http://localhost:1' }), 403);
  t.equal(await statusWith(url, { host, origin: 'null' }), 403);
  const reply = await call(url, '/v1/health', { headers: { origin: 'https://evil.example' } });
  t.equal(problem(reply).code, 'ORIGIN_REFUSED');
  t.equal(reply.headers.get('access-control-allow-origin'), null);
});

t.test('the client knows a daemon that is not there, and one that holds the port', async (t) => {
  const port = await freePort();
  const bench = await openBench(t, { port });
  await t.rejects(openBench(t, { port }), { code: 'PORT_IN_USE' });
  await bench.stop();
  await t.rejects(new DaemonClient(bench.url).health({ signal }), { code: 'DAEMON_UNREACHABLE' });
});

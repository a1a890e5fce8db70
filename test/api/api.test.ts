import { type IncomingHttpHeaders, request } from 'node:http';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import t from 'tap';
import { DaemonClient } from '../../daemon/api/client.js';
import { problemSchema } from '../../daemon/api/schemas.js';
import { sha256Hex } from '../../daemon/core/hash.js';
import { freePort } from '../android/adb-bench.js';
import { deviceId, modelBytes, openBench } from './bench.js';

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

const json = { 'content-type': 'application/json' };
const post = (body: unknown): RequestInit => ({ method: 'POST', headers: json, body: JSON.stringify(body) });
const postText = (body: string): RequestInit => ({ method: 'POST', headers: json, body });
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
    ['REQUEST_INVALID', 400, '/v1/measurements', { method: 'POST', headers: json, body: '{not json' }],
    ['REQUEST_INVALID', 400, '/v1/measurements', post({ model: 'short', device: deviceId })],
    ['REQUEST_INVALID', 400, '/v1/measurements', post({ model, device: deviceId, extra: 1 })],
    ['REQUEST_INVALID', 400, '/v1/events?since=-1'],
    ['REQUEST_INVALID', 400, '/v1/events?topics=devices,sudy.*'],
    ['REQUEST_INVALID', 400, '/v1/studies?limit=1&limit=2'],
    ['REQUEST_INVALID', 400, '/v1/studies/x/trials?state=complet'],
    ['REQUEST_INVALID', 400, '/v1/studies/x/trials/1e0'],
    ['REQUEST_INVALID', 400, '/v1/studies/x/trials?limit=1001'],
    ['STUDY_UNKNOWN', 404, '/v1/studies/none/columns?metrics=accuracy'],
    ['REQUEST_INVALID', 400, '/v1/studies/x/columns'],
    ['NOT_FOUND', 404, '/v1/measurements?before=m99'],
    ['STUDY_UNKNOWN', 404, '/v1/studies?after=none'],
    ['REQUEST_TOO_LARGE', 413, '/v1/studies', post('x'.repeat(2 * 1024 * 1024))],
    ['REQUEST_TOO_LARGE', 413, '/v1/studies', postText(`${'['.repeat(201)}${']'.repeat(201)}`)],
    ['REQUEST_TOO_LARGE', 413, '/v1/studies', postText(`[${'1,'.repeat(250_000)}1]`)],
    ['SPEC_INVALID', 422, '/v1/studies', postText(`["${'['.repeat(1000)}\\"[["]`)],
    [
      'MEDIA_TYPE_UNSUPPORTED',
      415,
      '/v1/studies',
      { ...post('{}'), headers: { 'content-type': 'application/json; charset=utf-7' } },
    ],
    [
      'MEDIA_TYPE_UNSUPPORTED',
      415,
      '/v1/models',
      { method: 'POST', body: 'onnx', headers: { 'content-encoding': 'gzip' } },
    ],
    ['REQUEST_TOO_LARGE', 413, '/v1/blobs', { method: 'POST', body: Buffer.alloc(64 * 2 ** 20 + 1) }],
    ['MEDIA_TYPE_UNSUPPORTED', 415, '/v1/studies', { method: 'POST', body: '{}' }],
    ['MEDIA_TYPE_UNSUPPORTED', 415, '/v1/models', post({})],
    [
      'MEDIA_TYPE_UNSUPPORTED',
      415,
      '/v1/studies',
      { method: 'POST', headers: { ...json, 'content-encoding': 'zstd' }, body: '{}' },
    ],
    ['METHOD_NOT_ALLOWED', 405, '/v1/studies', { method: 'PUT' }],
    ['METHOD_NOT_ALLOWED', 405, '/v1/studies/study-1/trials/0/export'],
    ['REQUEST_INVALID', 400, '/v1/devices?limt=1'],
    ['REQUEST_INVALID', 400, '/v1/health?verbose'],
    ['METHOD_NOT_ALLOWED', 405, '/', { method: 'POST' }],
    ['UPGRADE_REQUIRED', 426, '/v1/ws'],
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

t.test('a model that is too large has a code of its own, and the next one is taken', async (t) => {
  const { url } = await openBench(t);
  const limitBytes = 256 * 2 ** 20;
  const answer = await new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
    const headers = { 'content-type': 'application/octet-stream', 'content-length': limitBytes + 1 };
    const upload = request(`${url}/v1/models`, { method: 'POST', headers }, (response) => {
      let text = '';
      response.on('data', (data) => {
        text += data;
      });
      response.on('end', () => resolve({ status: response.statusCode, text }));
    });
    upload.on('error', reject);
    // The same piece again and again: the file is never in memory.
    const piece = Buffer.alloc(2 ** 20);
    const pieces = function* () {
      for (let sent = 0; sent < limitBytes; sent += piece.length) yield piece;
      yield piece.subarray(0, 1);
    };
    Readable.from(pieces()).pipe(upload);
  });
  t.equal(answer.status, 413);
  t.match(problemSchema.parse(JSON.parse(answer.text)), {
    code: 'NETWORK_TOO_LARGE',
    status: 413,
    details: { limitBytes },
  });
  const { status } = await call(url, '/v1/models', { method: 'POST', body: modelBytes });
  t.equal(status, 201);
});

t.test('long lists come in pages that lead on to the next, by filter', async (t) => {
  const { url, studies, store } = await openBench(t);
  const { id } = await studies.create({ name: 'long' });
  for (let i = 0; i < 7; i++) await studies.finishTrial(id);
  const walk = async (path: string, field: string) => {
    const found: unknown[] = [];
    let next: string | null = path;
    let pages = 0;
    const totals = new Set<number>();
    while (next !== null) {
      // biome-ignore lint/suspicious/noExplicitAny: pages of several lists.
      const { body }: { body: any } = await call(url, next);
      found.push(...body[field]);
      next = body.next;
      totals.add(body.total);
      pages++;
    }
    t.same([...totals], [found.length], path);
    return { found, pages };
  };
  const trials = await walk(`/v1/studies/${id}/trials?limit=3&state=complete,failed`, 'trials');
  t.same(
    [trials.pages, trials.found.map((one) => (one as { number: number }).number)],
    [3, [0, 1, 2, 3, 4, 5, 6]],
  );
  t.match((await call(url, `/v1/studies/${id}/trials?state=failed`)).body, {
    trials: [],
    total: 0,
    next: null,
  });
  const slowest = await walk(
    `/v1/studies/${id}/trials?limit=3&sort=-latencyUs&where=latencyUs>=120`,
    'trials',
  );
  t.same(
    [slowest.pages, slowest.found.map((one) => (one as { number: number }).number)],
    [2, [6, 5, 4, 3, 2]],
  );
  const [architecture] = trials.found as { architectureId: string }[];
  t.match((await call(url, `/v1/studies/${id}/trials?architecture=${architecture?.architectureId}`)).body, {
    trials: [{ number: 0 }],
    total: 1,
    next: null,
  });
  const columns = `/v1/studies/${id}/columns?metrics=latencyUs,accuracy&limit=5`;
  t.same((await call(url, columns)).body, {
    numbers: [0, 1, 2, 3, 4],
    columns: [
      { metric: 'latencyUs', values: [100, 110, 120, 130, 140] },
      { metric: 'accuracy', values: [0, 1, 2, 3, 4].map((n) => 0.5 + n / 100) },
    ],
    total: 7,
    next: `/v1/studies/${id}/columns?${new URLSearchParams({ from: '5', metrics: 'latencyUs,accuracy', limit: '5' })}`,
  });
  t.match((await call(url, `${columns}&from=5`)).body, { numbers: [5, 6], total: 7, next: null });
  t.match((await call(url, `/v1/studies/${id}/columns?metrics=none`)).body, { numbers: [], total: 0 });
  t.match((await call(url, `/v1/studies/${id}/trials/3`)).body, { studyId: id, number: 3 });
  const measured = await walk('/v1/measurements?limit=3&verdict=valid', 'measurements');
  t.same([measured.pages, new Set(measured.found.map((one) => (one as { id: string }).id)).size], [3, 7]);
  for (let i = 0; i < 4; i++) await studies.create({ name: `study ${i}` });
  await store.setStudyState(id, 'completed');
  t.equal((await walk('/v1/studies?limit=2', 'studies')).found.length, 5);
  t.match((await call(url, '/v1/studies?state=completed')).body, { studies: [{ id }], total: 1 });
  t.match((await call(url, '/v1/studies?after=study-99')).body, { code: 'STUDY_UNKNOWN' });
  for (let i = 0; i < 5; i++) await store.addCampaign({ kind: 'probe', request: {}, of: 1 });
  await store.endCampaign('2', { state: 'done', result: null, error: null });
  const campaigns = await walk('/v1/campaigns?limit=2&kind=probe&state=running', 'campaigns');
  t.same(
    [campaigns.pages, campaigns.found.map((one) => (one as { id: string }).id)],
    [2, ['5', '4', '3', '1']],
    'newest first, each once',
  );
  t.match((await call(url, '/v1/campaigns?kind=train')).body, { campaigns: [], total: 0, next: null });
  t.match((await call(url, '/v1/campaigns?before=99')).body, { code: 'NOT_FOUND' });
  t.match(await call(url, '/v1/campaigns?states=done'), { status: 400 });
  const {
    devices: [first, ...others],
  } = (await call(url, '/v1/devices')).body as { devices: { id: string }[] };
  t.equal((await walk('/v1/devices?limit=1', 'devices')).found.length, others.length + 1);
  const behind = (await call(url, `/v1/devices?after=${first?.id}`)).body as { devices: unknown[] };
  t.same(behind.devices, others);
  const events = await (async () => {
    let [next, count]: [string | null, number] = ['/v1/events?limit=10&topics=study.*', 0];
    while (next !== null) {
      const { events: page, next: on } = (await call(url, next)).body as {
        events: unknown[];
        next: string | null;
      };
      [next, count] = [on, count + page.length];
    }
    return count;
  })();
  t.equal(events, (await store.events(0, { topics: ['study.*'], limit: 1000 })).length);
});

/** The answer as it travels: fetch unpacks it. */
const raw = (url: string, path: string, headers: Record<string, string>, method = 'GET', body = '') =>
  new Promise<{ status: number | undefined; headers: IncomingHttpHeaders; bytes: Buffer }>(
    (resolve, reject) => {
      request(`${url}${path}`, { method, headers }, (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('end', () =>
          resolve({ status: response.statusCode, headers: response.headers, bytes: Buffer.concat(parts) }),
        );
      })
        .on('error', reject)
        .end(body);
    },
  );

t.test('answers are kept and packed by their kind', async (t) => {
  const { url } = await openBench(t);
  const path = '/v1/openapi.json';
  const plain = await raw(url, path, {});
  t.match(plain.headers, { 'cache-control': 'private, no-cache', vary: 'Accept-Encoding', etag: /^W\// });
  t.notOk(plain.headers['content-encoding']);
  for (const [encoding, unpack] of [
    ['gzip', gunzipSync],
    ['br', brotliDecompressSync],
  ] as const) {
    const packed = await raw(url, path, { 'accept-encoding': `${encoding};q=0.9, identity;q=0.1` });
    t.equal(packed.headers['content-encoding'], encoding);
    t.equal(packed.headers.etag, plain.headers.etag);
    t.ok(packed.bytes.length * 4 < plain.bytes.length, `${packed.bytes.length} of ${plain.bytes.length}`);
    t.same(unpack(packed.bytes), plain.bytes);
  }
  for (const refused of ['gzip;q=0, br;q=0', 'zstd', 'identity'])
    t.notOk((await raw(url, path, { 'accept-encoding': refused })).headers['content-encoding'], refused);
  const again = await raw(url, path, {
    'if-none-match': String(plain.headers.etag),
    'accept-encoding': 'br',
  });
  t.match([again.status, again.bytes.length], [304, 0]);
  const head = await raw(url, path, {}, 'HEAD');
  t.same(
    [head.status, head.bytes.length, head.headers['content-length']],
    [200, 0, String(plain.bytes.length)],
  );

  const secret = await raw(
    url,
    '/v1/joiners/invite',
    { ...json, 'accept-encoding': 'br, gzip' },
    'POST',
    '{"kind":"page"}',
  );
  t.equal(secret.headers['cache-control'], 'no-store');
  t.notOk(secret.headers.etag);
  t.notOk(secret.headers.vary, 'a token is never packed, however long its answer grows');
  const { headers } = await call(url, '/v1/models', { method: 'POST', body: modelBytes });
  const model = await raw(url, String(headers.get('location')), { 'accept-encoding': 'br' });
  t.match(model.headers, { 'cache-control': /immutable/, etag: /^"/ });
  t.equal(headers.get('etag'), null);
  t.equal((await raw(url, '/v1/health', {}, 'OPTIONS')).headers.allow, 'GET, HEAD, OPTIONS');
});

t.test('what Node refuses by itself comes as a problem, too', async (t) => {
  const { url } = await openBench(t);
  const { port } = new URL(url);
  const answer = (text: string) =>
    new Promise<string>((resolve, reject) => {
      let heard = '';
      const socket = connect(Number(port), '127.0.0.1', () => socket.write(text));
      socket.on('data', (data) => {
        heard += data;
      });
      socket.on('close', () => resolve(heard)).on('error', reject);
    });
  const close = 'Connection: close\r\n';
  const host = `Host: 127.0.0.1:${port}\r\n`;
  const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\n';
  const table: [status: number, code: string, text: string][] = [
    [431, 'HEADERS_TOO_LARGE', `GET /v1/health HTTP/1.1\r\n${host}X: ${'x'.repeat(20_000)}\r\n\r\n`],
    [400, 'REQUEST_INVALID', 'rubbish\r\n\r\n'],
    [403, 'ORIGIN_REFUSED', `GET /v1/health HTTP/1.1\r\n${close}\r\n`],
    [400, 'REQUEST_INVALID', `GET /v1/health HTTP/1.1\r\n${host}${close}Expect: miracles\r\n\r\n`],
    [426, 'UPGRADE_REQUIRED', `GET /v1/ws HTTP/1.1\r\n${host}${upgrade}\r\n`],
    [404, 'NOT_FOUND', `GET /v1/nowhere HTTP/1.1\r\n${host}${upgrade}\r\n`],
  ];
  for (const [status, code, text] of table) {
    const [head = '', body = ''] = (await answer(text)).split('\r\n\r\n');
    t.match(head, new RegExp(`^HTTP/1.1 ${status} `), code);
    t.match(head, /content-type: application\/problem\+json/i, code);
    t.equal((JSON.parse(body) as { code: string }).code, code);
  }
});

t.test('a measurement without waiting is a job that ends', async (t) => {
  const { url } = await openBench(t);
  const client = new DaemonClient(url);
  const { sha256: model } = await client.uploadModel(modelBytes, { signal });
  const settle = async (protocol: string) => {
    let job = await client.startMeasurement({ model, device: deviceId, protocol }, { signal });
    while (job.state === 'queued' || job.state === 'running') job = await client.job(job.id, { signal });
    return job;
  };
  t.match(await settle('quick'), {
    state: 'done',
    measurement: { deviceId, verdict: 'valid' },
    problem: null,
  });
  await t.rejects(settle('unheard-of'), { code: 'PROTOCOL_UNKNOWN' }, 'refused before it is a job');
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

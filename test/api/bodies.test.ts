import { createHash, randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import t from 'tap';
import { openBench } from './bench.js';

const megabyte = 2 ** 20;

/** Sends what it is given and hears the answer; the request may never end. */
const exchange = (url: string, send: (write: (text: string | Buffer) => void) => void) =>
  new Promise<{
    readonly head: string;
    readonly body: { readonly code?: string };
    readonly ended: Promise<void>;
  }>((resolve) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1', () => send((text) => socket.write(text)));
    const ended = new Promise<void>((done) => socket.once('close', () => done()));
    let answer = '';
    socket.on('error', () => {});
    socket.setEncoding('utf8').on('data', (text: string) => {
      answer += text;
      const [head = '', body = ''] = answer.split('\r\n\r\n');
      const length = /content-length: (\d+)/i.exec(head)?.[1];
      if (length !== undefined && body.length >= Number(length)) {
        // It is the daemon that ends the connection.
        resolve({ head, body: JSON.parse(body), ended });
      }
    });
  });

const head = (path: string, type: string, more: string): string =>
  `POST /v1${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: ${type}\r\n${more}\r\n\r\n`;

t.test('a body that is too large is refused before it is sent', async (t) => {
  const { url } = await openBench(t);
  const cases = [
    ['/models', 'application/octet-stream', 300 * megabyte, 'NETWORK_TOO_LARGE'],
    ['/blobs', 'application/octet-stream', 65 * megabyte, 'REQUEST_TOO_LARGE'],
    ['/studies', 'application/json', 2 * megabyte, 'REQUEST_TOO_LARGE'],
  ] as const;
  for (const [path, type, length, code] of cases) {
    // Nothing of it is ever sent.
    const stated = await exchange(url, (write) => write(head(path, type, `Content-Length: ${length}`)));
    t.match(stated, { head: /^HTTP\/1\.1 413 /, body: { code } }, path);
    t.match(stated.head, /connection: close/i);
    await stated.ended;
  }
  // Of unknown length: with the first byte that is too much, the request not being over.
  const chunked = await exchange(url, (write) => {
    write(head('/studies', 'application/json', 'Transfer-Encoding: chunked'));
    const piece = Buffer.alloc(64 * 1024, 0x20);
    for (let i = 0; i < 17; i++) write(Buffer.concat([Buffer.from('10000\r\n'), piece, Buffer.from('\r\n')]));
  });
  t.match(chunked, { head: /^HTTP\/1\.1 413 /, body: { code: 'REQUEST_TOO_LARGE' } });
  t.match(chunked.head, /connection: close/i);
  await chunked.ended;
  // A request that is refused for another reason need not send it either.
  const unasked = await exchange(url, (write) =>
    write(head('/models', 'multipart/form-data', `Content-Length: ${200 * megabyte}`)),
  );
  t.match(unasked, {
    head: /^HTTP\/1\.1 415 .*connection: close/is,
    body: { code: 'MEDIA_TYPE_UNSUPPORTED' },
  });
});

t.test('a client that sends all the same still hears the answer', async (t) => {
  const { url } = await openBench(t);
  for (const body of [Buffer.alloc(2 * megabyte), Buffer.alloc(12 * megabyte)]) {
    const response = await fetch(`${url}/v1/studies`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
    t.equal(response.status, 413);
    t.match(await response.json(), { code: 'REQUEST_TOO_LARGE', details: { limitBytes: megabyte } });
  }
});

t.test('packed JSON is bounded unpacked, and damaged packing is refused', async (t) => {
  const { url } = await openBench(t);
  const post = async (body: Buffer, packing: string) => {
    const response = await fetch(`${url}/v1/studies`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-encoding': packing },
      body,
    });
    return { status: response.status, ...((await response.json()) as { code?: string }) };
  };
  const large = Buffer.alloc(3 * megabyte, 0x20);
  const packings = [
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
  ] as const;
  for (const [name, pack] of packings) {
    t.match(await post(pack(large), name), { status: 413, code: 'REQUEST_TOO_LARGE' }, name);
    const damaged = pack(Buffer.from('{"name": 1, "more": [1, 2, 3]}')).subarray(4);
    t.match(await post(damaged, name), { status: 400, code: 'REQUEST_INVALID' }, `damaged ${name}`);
    const whole = await post(pack(Buffer.from('[1, 2')), name);
    t.match(whole, { status: 400, code: 'REQUEST_INVALID', detail: /no JSON/ }, 'unpacked, it is read');
  }
  t.match(await post(Buffer.from('{}'), 'zstd'), { status: 415, code: 'MEDIA_TYPE_UNSUPPORTED' });
});

t.test('after a small refusal the connection serves on', async (t) => {
  const { url } = await openBench(t);
  let answers = '';
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  t.teardown(() => socket.destroy());
  socket.setEncoding('utf8').on('data', (text: string) => {
    answers += text;
  });
  socket.write(`${head('/studies', 'text/plain', 'Content-Length: 5')}hello`);
  socket.write(`${head('/studies', 'application/json', 'Content-Length: 6')}{"a": `);
  socket.write('GET /v1/openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n');
  await new Promise((resolve) => socket.once('close', resolve));
  const statuses = [...answers.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status);
  t.same(statuses, ['415', '400', '200']);
});

t.test('a body arrives byte by byte as it was sent, of a stated length and of none', async (t) => {
  const { url } = await openBench(t);
  const bytes = randomBytes(3 * megabyte + 7);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const chunked = () =>
    ReadableStream.from([bytes.subarray(0, 1), bytes.subarray(1, 70_000), bytes.subarray(70_000)]);
  for (const [name, init] of [
    ['stated', { body: bytes }],
    ['chunked', { body: chunked(), duplex: 'half' }],
  ] as [string, RequestInit][]) {
    const headers = { 'content-type': 'application/octet-stream' };
    const response = await fetch(`${url}/v1/blobs`, { ...init, method: 'POST', headers });
    t.match(await response.json(), { sha256 }, name);
  }
});

import { request } from 'node:http';
import type { Test } from 'tap';
import { WebSocket } from 'ws';

/** What a program on the phone gets where the address that it opened came from: the page, its assets and channel, and no more. */
export async function checkTunnel(t: Test, opened: string): Promise<void> {
  const { origin: base, port, search } = new URL(opened);
  const ask = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
    new Promise<{ status: number; code: string | undefined; headers: Record<string, unknown> }>(
      (resolve, reject) => {
        const call = request({ host: '127.0.0.1', port, path, method, headers }, (response) => {
          let text = '';
          response.on('data', (chunk: Buffer) => (text += chunk));
          response.on('end', () => {
            const problem = /problem/.test(response.headers['content-type'] ?? '') ? JSON.parse(text) : {};
            resolve({ status: response.statusCode ?? 0, code: problem.code, headers: response.headers });
          });
        });
        call.once('error', reject);
        call.end();
      },
    );
  const page = await ask('/join/');
  t.match(
    page,
    {
      status: 200,
      headers: {
        'cross-origin-opener-policy': 'same-origin',
        'cross-origin-embedder-policy': 'require-corp',
      },
    },
    'the page, isolated',
  );
  t.equal((await ask('/join/main.js')).status, 200);
  const refused = ['/', '/index.html', '/main.js', '/v1/health', '/v1/devices', '/v1/openapi.json'];
  for (const path of [...refused, '/join/../v1/health', '/join/..%2findex.html', '/join/%', '/v1/join'])
    t.match(await ask(path), { status: 404, code: 'NOT_FOUND' }, path);
  for (const path of ['/v1/joiners/invite', '/v1/measurements', '/v1/studies'])
    t.match(await ask(path, {}, 'POST'), { status: 404, code: 'NOT_FOUND' }, path);
  t.match(await ask('/join/', { host: 'rebound.example' }), { status: 403, code: 'ORIGIN_REFUSED' });
  t.match(await ask('/join/', { origin: 'https://evil.example' }), { status: 403, code: 'ORIGIN_REFUSED' });

  const handshake = (path: string, headers: Record<string, string> = {}) =>
    new Promise<number>((resolve) => {
      const socket = new WebSocket(`${base.replace('http', 'ws')}${path}`, { headers });
      socket.once('open', () => {
        socket.terminate();
        resolve(101);
      });
      socket.once('unexpected-response', (call, response) => {
        call.destroy();
        resolve(response.statusCode ?? 0);
      });
      socket.once('error', () => {});
    });
  t.equal(await handshake('/v1/ws'), 404, 'the events are not there');
  t.equal(await handshake('/v1/agents/join'), 404, 'nor the door of agents');
  t.equal(await handshake('/v1/join', { origin: 'https://evil.example' }), 403);
  t.equal(await handshake(`/v1/join${search}`, { origin: base }), 101, 'the channel of its own page');
}

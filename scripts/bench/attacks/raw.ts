import { connect } from 'node:net';
import { localTokenFor } from '../../../daemon/access/local-token.js';
import type { Attack, Outcome } from './attack.js';

/** Sends bytes and hears all that comes back. */
const exchange = (port: number, bytes: string): Promise<string> =>
  new Promise((resolve) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    socket.setEncoding('utf8').on('data', (text) => {
      answer += text;
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(answer));
  });

/** Refused where the first answer is an error that is no defect of ours, and no other answer follows. */
function outcome(answer: string): Outcome {
  const statuses = [...answer.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map(([, status]) => Number(status));
  const code = /"code":"(\w+)"/.exec(answer)?.[1] ?? `STATUS ${statuses[0] ?? 'none'}`;
  const refused = statuses.length === 1 && (statuses[0] as number) >= 400 && code !== 'INTERNAL';
  return { code: refused ? code : null, note: answer.slice(0, 200) };
}

/** `{TOKEN}` is the local user's: what is refused here is refused in spite of it. */
const raw = (kind: string, name: string, request: string): Attack => ({
  kind,
  name,
  run: async ({ url }) => {
    const { port, origin } = new URL(url);
    const token = (await localTokenFor(origin)) ?? '';
    const text = request.replace(/\n/g, '\r\n').replace('{TOKEN}', token).replace('{PORT}', port);
    return outcome(await exchange(Number(port), text));
  },
});

const shown = 'Authorization: Bearer {TOKEN}\nConnection: close\n';

/** Requests that no client writes. */
export const rawRequests: readonly Attack[] = [
  raw(
    'other sites',
    'a name that begins as ours does',
    `GET /v1/devices HTTP/1.1\nHost: 127.0.0.1.evil.example\n${shown}\n`,
  ),
  raw(
    'other sites',
    'two host names',
    `GET /v1/devices HTTP/1.1\nHost: 127.0.0.1:{PORT}\nHost: evil.example\n${shown}\n`,
  ),
  raw('other sites', 'no host name', `GET /v1/devices HTTP/1.1\n${shown}\n`),
  raw(
    'smuggling',
    'a length and chunks, with a second request inside',
    `POST /v1/studies HTTP/1.1\nHost: 127.0.0.1:{PORT}\n${shown}Content-Length: 4\nTransfer-Encoding: chunked\n\n0\n\nGET /v1/devices HTTP/1.1\nHost: 127.0.0.1:{PORT}\nX: y\n\n`,
  ),
  raw(
    'smuggling',
    'a bare line feed in a header',
    'GET /v1/devices HTTP/1.1\nHost: 127.0.0.1\n\x0bX: y\nConnection: close\n\n',
  ),
  raw(
    'smuggling',
    '40 kB of headers',
    `GET /v1/devices HTTP/1.1\nHost: 127.0.0.1:{PORT}\n${shown}X: ${'x'.repeat(40_000)}\n\n`,
  ),
  raw(
    'paths',
    'out of the page’s folder',
    'GET /..%2f..%2fpackage.json HTTP/1.1\nHost: 127.0.0.1:{PORT}\nConnection: close\n\n',
  ),
  raw(
    'paths',
    'out of the folder of the page that phones open',
    'GET /join/..%2f..%2f..%2fpackage.json HTTP/1.1\nHost: 127.0.0.1:{PORT}\nConnection: close\n\n',
  ),
  raw(
    'paths',
    'a model by a path in place of its sum',
    `GET /v1/models/..%2F..%2Fhilda.sqlite HTTP/1.1\nHost: 127.0.0.1:{PORT}\n${shown}\n`,
  ),
  raw(
    'untrusted bytes',
    '300 MB announced and never sent',
    `POST /v1/models HTTP/1.1\nHost: 127.0.0.1:{PORT}\n${shown}Content-Type: application/octet-stream\nContent-Length: 300000000\n\n`,
  ),
  raw(
    'untrusted bytes',
    'JSON in chunks without an end',
    `POST /v1/studies HTTP/1.1\nHost: 127.0.0.1:{PORT}\n${shown}Content-Type: application/json\nTransfer-Encoding: chunked\n\n${`10000\n${' '.repeat(65_536)}\n`.repeat(17)}`,
  ),
  raw(
    'floods',
    '1,500 topics in one address',
    `GET /v1/events?topics=${Array.from({ length: 1500 }, (_, i) => `t${i}`).join()} HTTP/1.1\nHost: 127.0.0.1:{PORT}\n${shown}\n`,
  ),
];

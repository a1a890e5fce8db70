import { request } from 'node:https';
import { connect, type Socket } from 'node:net';
import { localTokenFor } from '../../../daemon/access/local-token.js';
import { systemClock } from '../../../daemon/core/clock.js';
import type { Attack, Outcome } from './attack.js';
import type { AttackedDaemon } from './attacked-daemon.js';

const options = ['--lan', '0', '--lan-api'];

/** Where the daemon serves its networks. */
async function farOf(daemon: AttackedDaemon): Promise<URL> {
  const { elsewhere } = (await (await daemon.post('/access/links', {})).json()) as { elsewhere: string[] };
  const [first] = elsewhere;
  if (first === undefined) throw new Error('nothing is served to networks');
  return new URL(first);
}

/** As another machine asks; null where no answer came within 20 s. */
const far = (
  origin: string,
  path: string,
  token?: string,
): Promise<{ status: number; text: string } | null> =>
  new Promise((resolve) => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const sent = request(
      `${origin}${path}`,
      { headers, rejectUnauthorized: false, agent: false, signal: AbortSignal.timeout(20_000) },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part) => {
          text += part;
        });
        response.once('end', () => resolve({ status: response.statusCode ?? 0, text }));
      },
    );
    sent.once('error', () => resolve(null)).end();
  });

const refusal = (answer: { status: number; text: string } | null): Outcome => {
  const code = /"code":"(\w+)"/.exec(answer?.text ?? '')?.[1] ?? 'none';
  return { code: answer && answer.status >= 400 && code !== 'INTERNAL' ? code : null, note: code };
};

/** What comes over the network, where the API is served there. */
export const networks: readonly Attack[] = [
  {
    kind: 'networks',
    name: 'another machine without a token',
    options,
    run: async (daemon) => refusal(await far((await farOf(daemon)).origin, '/v1/devices')),
  },
  {
    kind: 'networks',
    name: 'the local user’s token, stolen',
    options,
    run: async (daemon) =>
      refusal(await far((await farOf(daemon)).origin, '/v1/devices', await localTokenFor(daemon.url))),
  },
  {
    kind: 'networks',
    name: '40 guessed tokens',
    options,
    run: async (daemon) => {
      const { origin } = await farOf(daemon);
      for (let i = 0; i < 39; i++) await far(origin, '/v1/devices', `hilda.0000000${i % 10}.x`);
      const { code, note } = refusal(await far(origin, '/v1/devices', 'hilda.00000000.x'));
      return { code: code === 'ATTEMPTS_LIMITED' ? code : null, note: note ?? '' };
    },
  },
  {
    kind: 'networks',
    name: '510 connections that say nothing, beside a right one',
    options,
    run: async (daemon) => {
      const { origin, hostname, port } = await farOf(daemon);
      const made = await daemon.post('/access/tokens', { name: 'other', scope: 'read', days: 1 });
      const { token } = (await made.json()) as { token: string };
      const silent: Socket[] = [];
      for (let i = 0; i < 510; i++) silent.push(connect(Number(port), hostname).on('error', () => {}));
      await systemClock.sleep(1000);
      // Those beyond an address's share are closed at once, the others after five seconds: somebody of the same address is let in then.
      let answer = await far(origin, '/v1/devices', token);
      for (let i = 0; i < 20 && answer === null; i++) {
        await systemClock.sleep(1000);
        answer = await far(origin, '/v1/devices', token);
      }
      for (const socket of silent) socket.destroy();
      return {
        code: answer?.status === 200 ? 'LET IN' : null,
        note: String(answer?.text ?? '').slice(0, 100),
      };
    },
  },
];

import { randomUUID } from 'node:crypto';
import { WebSocket } from 'ws';
import { systemClock } from '../../../daemon/core/clock.js';
import { agentProtocol } from '../../../daemon/devices/agent/wire.js';
import { pageProtocol } from '../../../daemon/devices/browser/wire.js';
import { GraphBuilder } from '../../../daemon/network/graph-builder.js';
import { writeOnnx } from '../../../daemon/network/write-onnx.js';
import { type Attack, type Outcome, refusalOf } from './attack.js';
import type { AttackedDaemon } from './attacked-daemon.js';

type Message = { readonly op: string; readonly [field: string]: unknown };

const about = {
  model: 'liar',
  platform: 'bench',
  browser: 'none',
  runtimeVersion: '1',
  secure: true,
  isolated: true,
  cores: 1,
  memoryGiB: null,
  gpu: null,
};
const state = { hiddenCount: 0, hidden: false, wakeLock: false, battery: null };
const shown = () => ({ instance: randomUUID(), heard: 0, takeOver: true });

async function invitation(daemon: AttackedDaemon, kind: 'page' | 'agent'): Promise<string> {
  return ((await (await daemon.post('/joiners/invite', { kind })).json()) as { token: string }).token;
}

/** Says hello; answers with the socket and the daemon's first word. */
async function speak(
  daemon: AttackedDaemon,
  path: string,
  hello: object,
  hear: (message: Message, say: (message: object) => void) => void = () => {},
): Promise<{ readonly first: Message; readonly socket: WebSocket; readonly closed: Promise<number> }> {
  const socket = new WebSocket(`${daemon.url.replace('http', 'ws')}/v1${path}`, { perMessageDeflate: false });
  socket.on('error', () => {});
  const closed = new Promise<number>((resolve) => socket.once('close', resolve));
  const say = (message: object): void => socket.send(JSON.stringify(message));
  const first = new Promise<Message>((resolve) => {
    socket.on('message', (data, isBinary) => {
      if (isBinary) return;
      const message = JSON.parse(String(data)) as Message;
      resolve(message);
      hear(message, say);
    });
    socket.once('close', (code) => resolve({ op: 'closed', code: `CLOSED ${code}` }));
    socket.once('unexpected-response', (_, { statusCode }) =>
      resolve({ op: 'refused', code: `STATUS ${statusCode}` }),
    );
  });
  socket.once('open', () => say(hello));
  return { first: await first, socket, closed };
}

const pageHello = (token: string) => ({ op: 'hello', proto: pageProtocol, token, about, state, ...shown() });

function smallModel(): Uint8Array {
  const b = new GraphBuilder({ name: 'small', opset: 17 });
  b.output(b.relu(b.input('x', 'float32', [1, 8])));
  return writeOnnx(b.build());
}

/** A page that answers every call with what `lie` makes of it, and is measured on. */
const lyingPage = (name: string, lie: (call: Message) => object | undefined): Attack => ({
  kind: 'peers',
  name,
  run: async (daemon) => {
    const token = await invitation(daemon, 'page');
    const { first, socket } = await speak(daemon, '/join', pageHello(token), (message, say) => {
      if (message.op !== 'call') return;
      const answer = lie(message);
      if (answer) say(answer);
    });
    try {
      const device = String(first.id);
      for (let i = 0; i < 100; i++) {
        const adopted = await daemon.post(`/devices/${device}/adopt`, {});
        if (adopted.ok) break;
        await systemClock.sleep(100);
      }
      const { sha256 } = (await (await daemon.post('/models', smallModel())).json()) as { sha256: string };
      const response = await daemon.post('/measurements', { model: sha256, device, protocol: 'quick' });
      if (response.status >= 400) return refusalOf(response);
      const { verdict } = (await response.json()) as { verdict?: string };
      return { code: verdict === 'valid' || verdict === undefined ? null : `VERDICT ${verdict}` };
    } finally {
      socket.terminate();
    }
  },
});

const refusedAs = ({ op, code }: Message): Outcome => ({
  code: op === 'refused' || op === 'closed' ? String(code ?? op) : null,
  note: `${op}`,
});

const aDevice = (i: number) => ({
  id: `d${i}`,
  kind: 'fake',
  label: `Device ${i}`,
  host: null,
  obstacle: null,
  target: {
    model: 'fake',
    clockHz: null,
    runtime: 'fake',
    runtimeVersion: '1',
    provider: 'cpu',
    threads: 1,
    dtype: 'float32',
    tier: 'host',
  },
});

const agentHello = (token: string, devices: readonly object[]) => ({
  op: 'hello',
  proto: agentProtocol,
  token,
  name: 'liar',
  devices,
  running: [],
  finished: [],
  ...shown(),
});

/** Pages and agents that joined, or try to. */
export const peers: readonly Attack[] = [
  lyingPage('a page that answers with nothing', ({ id }) => ({ op: 'reply', id, value: {} })),
  lyingPage('a page that answers with numbers beyond all bounds', ({ id }) => ({
    op: 'reply',
    id,
    value: {
      touchedBytes: 2 ** 53,
      timerStepUs: 1e308,
      loadUs: 1e308,
      firstRunUs: 1e308,
      tookUs: 1e308,
      samplesUs: [[1e308]],
    },
  })),
  lyingPage('a page that answers another call', ({ id }) => ({
    op: 'reply',
    id: Number(id) + 1000,
    value: {},
  })),
  {
    kind: 'peers',
    name: 'an invitation, used twice',
    run: async (daemon) => {
      const token = await invitation(daemon, 'page');
      (await speak(daemon, '/join', pageHello(token))).socket.terminate();
      const { first, socket } = await speak(daemon, '/join', pageHello(token));
      socket.terminate();
      return refusedAs(first);
    },
  },
  {
    kind: 'peers',
    name: 'an invitation for a page, shown by an agent',
    run: async (daemon) => {
      const token = await invitation(daemon, 'page');
      const { first, socket } = await speak(daemon, '/agents/join', agentHello(token, []));
      socket.terminate();
      return refusedAs(first);
    },
  },
  {
    kind: 'peers',
    name: '12 guessed invitations',
    run: async (daemon) => {
      let last: Message = { op: 'none' };
      for (let i = 0; i < 12; i++) {
        const { first, socket } = await speak(daemon, '/join', pageHello(`00000000000${i % 10}.guess`));
        socket.terminate();
        last = first;
      }
      return /429|ATTEMPTS/.test(String(last.code))
        ? refusedAs(last)
        : { code: null, note: String(last.code) };
    },
  },
  {
    kind: 'peers',
    name: 'an agent of 5,000 devices',
    run: async (daemon) => {
      const devices = Array.from({ length: 5000 }, (_, i) => aDevice(i));
      const { first, socket } = await speak(
        daemon,
        '/agents/join',
        agentHello(await invitation(daemon, 'agent'), devices),
      );
      socket.terminate();
      return refusedAs(first);
    },
  },
  {
    kind: 'peers',
    name: 'frames of 8 MiB after words that are no JSON',
    run: async (daemon) => {
      const socket = new WebSocket(`${daemon.url.replace('http', 'ws')}/v1/join`, {
        perMessageDeflate: false,
      });
      socket.on('error', () => {});
      const closed = new Promise<Outcome>((resolve) =>
        socket.once('close', (code) => resolve({ code: `CLOSED ${code}` })),
      );
      await new Promise((resolve) => socket.once('open', resolve));
      socket.send('not json');
      const frame = Buffer.alloc(8 * 2 ** 20);
      for (let i = 0; i < 100 && socket.readyState === WebSocket.OPEN; i++)
        await new Promise((resolve) => socket.send(frame, resolve));
      return Promise.race([
        closed,
        systemClock.sleep(30_000).then((): Outcome => ({ code: null, note: 'open' })),
      ]);
    },
  },
];

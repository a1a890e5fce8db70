import { effect, signal } from '@preact/signals';
import { conditions } from './conditions.js';
import { Incoming, sendBlob } from './frames.js';
import type { About, Call, FromDaemon, TypedBlob, TypedTensor } from './wire.js';
import { protocol } from './wire.js';
import { WorkerHost } from './worker-host.js';

export type Link = 'connecting' | 'ready' | 'working' | 'lost' | 'refused';

export const link = signal<Link>('connecting');
export const identity = signal<string | null>(null);
export const refusal = signal<{ readonly detail: string; readonly hint: string } | null>(null);
/** What is being run now, in a word or two. */
export const step = signal('');
export const measured = signal(0);

const keyName = 'hilda-key';
const visitName = 'hilda-visit';
const retryMs = [300, 600, 1200, 2500, 5000];
const steps: Readonly<Record<Call['op'], string>> = {
  start: 'starting afresh',
  load: 'loading a network',
  first: 'first run',
  time: 'timing',
  run: 'computing',
  stop: 'clearing up',
};

/** Keeps this page joined: with the token of its address once, with the key it got for it from then on. */
export function join(about: About): void {
  let token = new URLSearchParams(location.hash.slice(1)).get('t');
  // Where the daemon opened this page on its own device.
  const opened = new URLSearchParams(location.search).get('visit');
  // The invitation that this page came by: it is known by it from others of its address before it says a word.
  const visit = opened ?? (token ? (token.split('.')[0] as string) : kept(visitName));
  const query = visit === null ? '' : `?visit=${encodeURIComponent(visit)}`;
  let failures = 0;
  const worker = new WorkerHost();

  const connect = (): void => {
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    const socket = new WebSocket(`${scheme}://${location.host}/v1/join${query}`);
    socket.binaryType = 'arraybuffer';
    const incoming = new Incoming();
    let stopTelling = (): void => {};
    let queue: Promise<void> = Promise.resolve();
    const say = (message: object): void => socket.send(JSON.stringify(message));

    socket.onopen = () => {
      const key = kept(keyName);
      say({
        op: 'hello',
        proto: protocol,
        ...(token && { token }),
        ...(key && { key }),
        about,
        state: conditions.value,
      });
    };
    socket.onmessage = ({ data }) => {
      if (data instanceof ArrayBuffer) return incoming.frame(data);
      const message = JSON.parse(String(data)) as FromDaemon;
      switch (message.op) {
        case 'welcome':
          failures = 0;
          identity.value = message.id;
          if (message.key) keep(keyName, message.key);
          // Used up; without it the address can be reloaded, and shows nobody a secret.
          if (token) {
            if (opened === null && visit !== null) keep(visitName, visit);
            history.replaceState(history.state, '', location.pathname + location.search);
          }
          token = null;
          link.value = 'ready';
          stopTelling = effect(() => {
            const state = conditions.value;
            if (socket.readyState === WebSocket.OPEN) say({ op: 'state', state });
          });
          return;
        case 'refused':
          // It was not looked at: others of its kind were wrong too often. The connection ends, and is tried again.
          if (message.code === 'ATTEMPTS_LIMITED') return;
          link.value = 'refused';
          refusal.value = message;
          return;
        case 'blob':
          return incoming.announce(message.transfer, message.bytes);
        case 'call': {
          const { id, call } = message;
          // At once, not in turn: it is there to end the call before it.
          if (call.op === 'stop') worker.stop();
          queue = queue.then(() => reply(id, call));
        }
      }
    };
    const reply = async (id: number, call: Call): Promise<void> => {
      link.value = call.op === 'stop' ? 'ready' : 'working';
      step.value = steps[call.op];
      try {
        const { value, outputs = [] } = await perform(call, worker, incoming);
        if (socket.readyState !== WebSocket.OPEN) return;
        if (call.op !== 'run') return say({ op: 'reply', id, value });
        const named = outputs.map(({ name, dims, data }) => {
          const transfer = nextTransfer++;
          sendBlob(socket, transfer, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
          return { name, dims, transfer };
        });
        say({ op: 'reply', id, value: { outputs: named } });
      } catch (thrown) {
        const detail = thrown instanceof Error ? thrown.message : String(thrown);
        if (socket.readyState === WebSocket.OPEN) say({ op: 'failed', id, detail });
      }
    };
    socket.onclose = () => {
      stopTelling();
      worker.stop();
      if (link.value === 'refused') return;
      link.value = 'lost';
      setTimeout(connect, retryMs[Math.min(failures++, retryMs.length - 1)]);
    };
  };
  connect();
}

let nextTransfer = 1;

/**
 * Browsers may forbid pages to keep anything. The tab's own history outlasts reloads all the same; a page that was closed is
 * then new to the daemon when it comes again.
 */
function kept(name: string): string | null {
  const inTab: string | null = history.state?.[name] ?? null;
  try {
    return localStorage.getItem(name) ?? inTab;
  } catch {
    return inTab;
  }
}

function keep(name: string, value: string): void {
  try {
    localStorage.setItem(name, value);
  } catch {
    history.replaceState({ ...history.state, [name]: value }, '');
  }
}

const tensorsOf = (blobs: readonly TypedBlob[], incoming: Incoming): TypedTensor[] =>
  blobs.map(({ transfer, ...tensor }) => ({ ...tensor, bytes: incoming.take(transfer) }));

async function perform(call: Call, worker: WorkerHost, incoming: Incoming) {
  switch (call.op) {
    case 'start':
      return worker.start(call.provider, call.threads);
    case 'load':
      if (call.slot === 'candidate') measured.value++;
      return worker.ask({
        op: 'load',
        slot: call.slot,
        model: incoming.take(call.transfer),
        feeds: call.feeds && tensorsOf(call.feeds, incoming),
      });
    case 'run':
      return worker.ask({
        op: 'run',
        slot: call.slot,
        inputs: tensorsOf(call.inputs, incoming),
      });
    case 'stop':
      return { value: {} };
    default:
      return worker.ask(call);
  }
}

import { effect, signal } from '@preact/signals';
import { systemClock } from '../../../daemon/core/clock.js';
import type { LineFacts } from '../../../daemon/core/link/line-rate.js';
import { conditions } from './conditions.js';
import { keep, kept } from './keeping.js';
import { missingAbility } from './missing-ability.js';
import { PageLink } from './page-link.js';
import type { Link, PageKeys, PageSocket, Shown, SocketEvents } from './page-world.js';
import type { About } from './wire.js';
import { WorkerHost } from './worker-host.js';

export const link = signal<Link>('connecting');
export const identity = signal<string | null>(null);
export const refusal = signal<{ readonly detail: string; readonly hint: string } | null>(null);
export const step = signal('');
export const measured = signal(0);
export const line = signal<LineFacts | null>(null);

const keyName = 'hilda-key';
const visitName = 'hilda-visit';

/** Joins with what this browser has, unless it lacks what no network can do without. Answers with the way to take over. */
export function join(about: About): { takeOver(): void } {
  const missing = missingAbility(globalThis);
  if (missing) {
    // The token is not used: another browser can still come by it.
    show({ link: 'unable', refusal: missing });
    return { takeOver: () => {} };
  }
  let token = new URLSearchParams(location.hash.slice(1)).get('t');
  // Where the daemon opened this page on its own device.
  const opened = new URLSearchParams(location.search).get('visit');
  // The invitation that this page came by: it is known by it from others of its address before it says a word.
  const visit = opened ?? (token ? (token.split('.')[0] as string) : kept(visitName));
  const keys: PageKeys = {
    token: () => token,
    key: () => kept(keyName),
    welcomed: (key) => {
      if (key) keep(keyName, key);
      // Used up; without it the address can be reloaded, and shows nobody a secret.
      if (token) {
        if (opened === null && visit !== null) keep(visitName, visit);
        history.replaceState(history.state, '', location.pathname + location.search);
      }
      token = null;
    },
  };
  const page = new PageLink({
    about,
    instance: randomName(),
    clock: systemClock,
    chance: Math.random,
    runner: new WorkerHost(),
    keys,
    state: () => conditions.value,
    onState: (listener) => {
      let first = true;
      return effect(() => {
        void conditions.value;
        if (!first) listener();
        first = false;
      });
    },
    connect: (events) => browserSocket(visit, events),
    show,
  });
  addEventListener('online', () => page.retryNow());
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) page.retryNow();
  });
  page.start();
  return { takeOver: () => page.takeOver() };
}

function show(change: Partial<Shown>): void {
  if (change.link !== undefined) link.value = change.link;
  if (change.identity !== undefined) identity.value = change.identity;
  if (change.refusal !== undefined) refusal.value = change.refusal;
  if (change.step !== undefined) step.value = change.step;
  if (change.measured !== undefined) measured.value = change.measured;
  if (change.line !== undefined) line.value = change.line;
}

function browserSocket(visit: string | null, events: SocketEvents): PageSocket {
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
  const query = visit === null ? '' : `?visit=${encodeURIComponent(visit)}`;
  const socket = new WebSocket(`${scheme}://${location.host}/v1/join${query}`);
  socket.binaryType = 'arraybuffer';
  socket.onopen = () => events.opened();
  socket.onmessage = ({ data }) =>
    events.message(data instanceof ArrayBuffer ? new Uint8Array(data) : String(data));
  socket.onclose = ({ code }) => events.closed(code);
  return {
    get open() {
      return socket.readyState === WebSocket.OPEN;
    },
    send: (message) => socket.send(message),
    close: () => socket.close(),
  };
}

/** 128 bits of chance. `crypto.randomUUID` is for secure pages alone. */
const randomName = (): string =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');

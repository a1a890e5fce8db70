import { signal } from '@preact/signals';
import { BackOff } from '../../daemon/core/back-off.js';

export type Connection = 'connecting' | 'live' | 'lost';

/** Shown in the header, so that nobody mistakes an old number for a new one. */
export const connection = signal<Connection>('connecting');

interface Message {
  readonly op?: 'subscribed' | 'error';
  readonly topic?: string;
  readonly seq: number;
  readonly data?: EventData;
}

/** What an event says; other kinds of events have other fields. */
export interface EventData {
  readonly type?: string;
  readonly [field: string]: unknown;
}

/** Events of one topic, in order. */
export type News = ReadonlyMap<string, readonly EventData[]>;

const retry = { firstMs: 400, mostMs: 8000 };

/**
 * Hears every event of the daemon and tells what is new, by topic. After a break it subscribes from the last number
 * it saw, so that what was missed arrives as news; `afresh` says that there is no telling what was missed (the first
 * connection, or another store).
 */
export function followEvents(hear: {
  readonly news: (news: News) => void;
  readonly afresh: () => void;
}): void {
  let since: number | undefined;
  const backOff = new BackOff({ ...retry, chance: Math.random });
  let pending = new Map<string, EventData[]>();

  // Bursts become one change of the page.
  const note = (topic: string, data: EventData): void => {
    const before = pending.get(topic);
    if (before) before.push(data);
    else pending.set(topic, [data]);
    if (pending.size > 1 || before) return;
    setTimeout(() => {
      const news = pending;
      pending = new Map();
      hear.news(news);
    }, 150);
  };

  const connect = (): void => {
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    const socket = new WebSocket(`${scheme}://${location.host}/v1/ws`);
    socket.onopen = () =>
      socket.send(
        JSON.stringify({
          op: 'sub',
          topics: ['devices', 'measurements', 'predictors', 'study.*', 'specialisation.*'],
          ...(since === undefined ? {} : { since }),
        }),
      );
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(String(data)) as Message;
      if (message.op === 'error') return;
      if (message.op === 'subscribed') {
        backOff.reset();
        connection.value = 'live';
        if (since === undefined || message.seq < since) hear.afresh();
      } else if (message.topic) {
        note(message.topic, message.data ?? {});
      }
      since = message.seq;
    };
    socket.onclose = () => {
      connection.value = 'lost';
      setTimeout(connect, backOff.next());
    };
  };
  connect();
}

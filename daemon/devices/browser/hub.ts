import type { Clock } from '../../core/clock.js';
import { asHildaError, HildaError } from '../../core/errors.js';
import type { DeviceId } from '../../core/ids.js';
import { mostAwayMs } from '../../core/link/transfer-limits.js';
import { checked } from '../checked.js';
import { type Connection, closeCodes, type LineState } from '../connection.js';
import { firstMessage } from '../first-message.js';
import { giveWay } from '../instances.js';
import type { Admit, Joined, JoinKeys } from '../join-keys.js';
import { PageSession } from './page-session.js';
import { type DaemonMessage, type Hello, helloSchema, pageProtocol } from './wire.js';

export interface PageHubOptions {
  readonly keys: JoinKeys;
  readonly clock: Clock;
  /** How long a connection may take to say who it is. */
  readonly helloMs?: number;
  /** How long a page whose line broke may take to come back; `mostAwayMs` by default. */
  readonly graceMs?: number;
}

/** The pages that are here now, those whose line broke a moment ago included. `api` hands in each connection; the drivers ask for their pages. */
export class PageHub {
  readonly #options: PageHubOptions;
  readonly #pages = new Map<string, PageSession>();
  readonly #listeners = new Set<() => void>();

  constructor(options: PageHubOptions) {
    this.#options = options;
    options.keys.onRevoked((id) => {
      const page = this.#pages.get(id);
      if (!page) return;
      const error = new HildaError('KEY_REVOKED', `the key of ${id} was revoked`);
      page.say(refusal(error));
      page.close(error.message, closeCodes.refused);
    });
  }

  pages(): readonly PageSession[] {
    return [...this.#pages.values()];
  }

  page(id: string): PageSession | undefined {
    return this.#pages.get(id);
  }

  /** Waits for no page any more; after the server that brought them has stopped. */
  close(): void {
    for (const session of this.pages()) session.close('the daemon stops');
  }

  /** Of the line to the page that a device is, while it is here. */
  lineTo(device: DeviceId): LineState | undefined {
    return this.pages().find(({ id }) => device === id || device.startsWith(`${id}-`))?.line;
  }

  /** Calls back when a page came or went. Returns the way to stop. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Resolves once a page of this id is here. Throws DEVICE_TIMEOUT, or the signal's reason. */
  async waitFor(
    id: string,
    { signal, timeoutMs }: { readonly signal: AbortSignal; readonly timeoutMs: number },
  ): Promise<PageSession> {
    const present = this.#pages.get(id);
    if (present) return present;
    const done = new AbortController();
    try {
      return await new Promise<PageSession>((resolve, reject) => {
        const stop = this.onChange(() => {
          const page = this.#pages.get(id);
          if (page) resolve(page);
        });
        done.signal.addEventListener('abort', stop);
        this.#options.clock
          .sleep(timeoutMs, { signal: AbortSignal.any([signal, done.signal]) })
          .then(
            () => reject(new HildaError('DEVICE_TIMEOUT', `no page of ${id} came within ${timeoutMs} ms`)),
            reject,
          );
      });
    } finally {
      done.abort();
    }
  }

  /**
   * Takes a connection in: its first message says who it is. Never throws; a refusal is told, ends it, and is
   * the answer.
   */
  async accept(connection: Connection, admit: Admit): Promise<HildaError | null> {
    try {
      await this.#welcome(connection, admit);
      return null;
    } catch (thrown) {
      const error = asHildaError(thrown);
      connection.send(JSON.stringify(refusal(error)));
      connection.close(closeCodes.refused, error.code);
      return error;
    }
  }

  async #welcome(connection: Connection, admit: Admit): Promise<void> {
    const { clock } = this.#options;
    const first = await firstMessage(connection, clock, this.#options.helloMs ?? 5000);
    const version = (first as { proto?: unknown } | null)?.proto;
    if (typeof version === 'number' && version !== pageProtocol)
      throw new HildaError('VERSION_UNSUPPORTED', `the page speaks version ${version}, not ${pageProtocol}`, {
        hint: 'Reload the page.',
      });
    const hello = checked(helloSchema, first);
    const joined = await admit(() => this.#recognise(hello));
    const { instance, takeOver, heard } = hello;
    const present = await giveWay({
      clock,
      takeOver,
      what: `the page ${joined.id}`,
      present: () => this.#pages.get(joined.id),
      isSame: (session) => session.instance === instance,
      displace: (session, error) => {
        session.say(refusal(error));
        session.close(error.message, closeCodes.displaced);
      },
    });
    const session = present ?? this.#begin(joined.id, hello);
    const resumed = present !== undefined;
    const welcome = { op: 'welcome', proto: pageProtocol, id: joined.id, key: joined.key, resumed } as const;
    connection.send(JSON.stringify(welcome satisfies DaemonMessage));
    session.attach(connection, { state: hello.state, heard });
    if (!resumed) this.#changed();
  }

  /** A page that is back from a break is known by what only it can know: one that was opened on a phone has no key. */
  async #recognise({ token, key, about, instance }: Hello): Promise<Joined> {
    const { keys } = this.#options;
    if (token !== undefined) return keys.redeem('page', token, about.model, key);
    const back = key === undefined && this.pages().find((session) => session.instance === instance);
    return back ? { id: back.id, key: null } : keys.recognise('page', key ?? '');
  }

  #begin(id: string, { about, instance, state }: Hello): PageSession {
    const { clock, graceMs = mostAwayMs } = this.#options;
    const session = new PageSession(id, about, { clock, instance, state, graceMs });
    this.#pages.set(id, session);
    session.start((ended) => {
      if (this.#pages.get(ended.id) !== ended) return;
      this.#pages.delete(ended.id);
      this.#changed();
    });
    return session;
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

const refusal = ({ code, message, hint }: HildaError): DaemonMessage => ({
  op: 'refused',
  code,
  detail: message,
  hint,
});

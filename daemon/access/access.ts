import { randomBytes, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import type { Clock } from '../core/clock.js';
import { HildaError } from '../core/errors.js';
import type { Store } from '../store/contract.js';
import { tokenHash } from './token-hash.js';

/**
 * What a token may do. `page`: what the daemon's own page does, which reads and invites. `agent`: nothing of the API; machines
 * join with it, as many as its holder likes.
 */
export const scopes = ['read', 'measure', 'admin', 'page', 'agent'] as const;
export type Scope = (typeof scopes)[number];

/** What each scope holds. */
const held: Readonly<Record<Scope, readonly Scope[]>> = {
  read: ['read'],
  page: ['read', 'page'],
  measure: ['read', 'measure'],
  admin: scopes,
  agent: ['agent'],
};

const recordSchema = z.object({
  id: z.string(),
  name: z.string(),
  scope: z.enum(scopes),
  kind: z.enum(['token', 'page']),
  /** SHA-256 of the token; the token itself is nowhere but with its holder. */
  hash: z.string(),
  state: z.enum(['active', 'revoked']),
  createdMs: z.number(),
  expiresMs: z.number().nullable(),
});
/** A token that was made for somebody, without the token. */
export type TokenRecord = z.infer<typeof recordSchema>;

/** Who makes a request. */
export interface Caller {
  /** As the audit log names it. */
  readonly name: string;
  readonly scope: Scope;
  /** The user who runs the daemon, by a command: may name programs and files for the daemon to use. */
  readonly local: boolean;
}

export const localCaller: Caller = { name: 'the local user', scope: 'admin', local: true };

const prefix = 'hilda.';
const dayMs = 24 * 3600 * 1000;
const linkLifeMs = 10 * 60_000;
const sessionDays = 30;
const mostLinks = 100;
const mostSessions = 50;
const indexKey = 'access tokens';
const keyOf = (id: string): string => `access token ${id}`;

/** Who may use the API: the local user by the token file, others by tokens made for them, pages by a link that works once. */
export class Access {
  readonly #store: Pick<Store, 'value' | 'setValue'>;
  readonly #clock: Clock;
  readonly #local: Buffer;
  /** Hash of a link's code to when it ends. */
  readonly #links = new Map<string, number>();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(store: Pick<Store, 'value' | 'setValue'>, clock: Clock, localToken: string) {
    this.#store = store;
    this.#clock = clock;
    this.#local = tokenHash(localToken);
  }

  /** Throws TOKEN_REFUSED. Every wrong token is refused in the same words. */
  async recognise(token: string | undefined): Promise<Caller> {
    if (token === undefined) throw refusedToken('the request shows no token');
    const hash = tokenHash(token);
    if (timingSafeEqual(hash, this.#local)) return localCaller;
    const [, id = ''] = /^hilda\.([0-9a-f]{8})\./.exec(token) ?? [];
    const record = await this.#read(id);
    const fits = record && timingSafeEqual(Buffer.from(record.hash, 'hex'), hash);
    if (!fits || record.state !== 'active' || this.#isOver(record))
      throw refusedToken('the token is unknown, revoked or too old');
    return { name: `${record.kind} ${record.id} (${record.name})`, scope: record.scope, local: false };
  }

  /** Whether machines may join with this token. */
  async invitesAgents(token: string): Promise<boolean> {
    if (!token.startsWith(prefix)) return false;
    const caller = await this.recognise(token).catch(() => undefined);
    return caller !== undefined && held[caller.scope].includes('agent');
  }

  /** The token is shown once. `days`: how long it lasts; null for good. */
  create(asked: { readonly name: string; readonly scope: Scope; readonly days: number | null }) {
    return this.#add({ ...asked, kind: 'token' });
  }

  /** Those that were made and have not run out, revoked ones included. */
  async list(): Promise<TokenRecord[]> {
    const records = await Promise.all((await this.#index()).map((id) => this.#read(id)));
    return records.filter((record) => record !== undefined).filter((record) => !this.#isOver(record));
  }

  /** Throws NOT_FOUND. */
  async show(id: string): Promise<TokenRecord> {
    const record = await this.#read(id);
    if (record) return record;
    throw new HildaError('NOT_FOUND', `there is no token ${id}`, {
      hint: 'Run `hilda token list` to see the tokens.',
    });
  }

  /** For good. Throws NOT_FOUND. */
  async revoke(id: string): Promise<TokenRecord> {
    const record = await this.show(id);
    const revoked = { ...record, state: 'revoked' } as const;
    await this.#store.setValue(keyOf(id), revoked);
    return revoked;
  }

  /** A code that opens the page once, within ten minutes. */
  link(): string {
    const code = randomBytes(24).toString('base64url');
    this.#links.set(tokenHash(code).toString('hex'), this.#clock.nowMs() + linkLifeMs);
    const [oldest] = this.#links.keys();
    if (this.#links.size > mostLinks && oldest !== undefined) this.#links.delete(oldest);
    return code;
  }

  /** A page's session for a link's code: its token and how long it lasts. Throws TOKEN_REFUSED. */
  async redeem(code: string): Promise<{ readonly token: string; readonly maxAgeS: number }> {
    const hash = tokenHash(code).toString('hex');
    const untilMs = this.#links.get(hash) ?? 0;
    this.#links.delete(hash);
    if (untilMs <= this.#clock.nowMs()) throw refusedToken('the link is unknown, used or too old');
    const { token } = await this.#add({ name: 'the page', scope: 'page', days: sessionDays, kind: 'page' });
    return { token, maxAgeS: (sessionDays * dayMs) / 1000 };
  }

  #add({ name, scope, days, kind }: Pick<TokenRecord, 'name' | 'scope' | 'kind'> & { days: number | null }) {
    const id = randomBytes(4).toString('hex');
    const token = `${prefix}${id}.${randomBytes(24).toString('base64url')}`;
    const createdMs = this.#clock.nowMs();
    const record: TokenRecord = {
      id,
      name,
      scope,
      kind,
      hash: tokenHash(token).toString('hex'),
      state: 'active',
      createdMs,
      expiresMs: days === null ? null : createdMs + days * dayMs,
    };
    // One after another: the index is read and written.
    const added = this.#turn.then(async () => {
      await this.#store.setValue(keyOf(id), record);
      await this.#store.setValue(indexKey, [...(await this.#withoutOld(kind)), id]);
      return { record, token };
    });
    this.#turn = added.catch(() => {});
    return added;
  }

  /** The index without what ran out, and the oldest sessions where there are many. */
  async #withoutOld(adding: TokenRecord['kind']): Promise<string[]> {
    const known = await this.list();
    const sessions = known.filter(({ kind }) => kind === 'page');
    const most = adding === 'page' ? mostSessions - 1 : mostSessions;
    const ended = new Set(sessions.slice(0, Math.max(0, sessions.length - most)).map(({ id }) => id));
    for (const id of ended) await this.#store.setValue(keyOf(id), null);
    return known.map(({ id }) => id).filter((id) => !ended.has(id));
  }

  #isOver({ expiresMs }: TokenRecord): boolean {
    return expiresMs !== null && expiresMs <= this.#clock.nowMs();
  }

  async #index(): Promise<string[]> {
    return z
      .array(z.string())
      .catch([])
      .parse(await this.#store.value(indexKey));
  }

  async #read(id: string): Promise<TokenRecord | undefined> {
    return id === '' ? undefined : recordSchema.safeParse(await this.#store.value(keyOf(id))).data;
  }
}

/** Throws SCOPE_MISSING where a caller may do less. */
export function checkScope({ scope, name }: Caller, needed: Scope): void {
  if (held[scope].includes(needed)) return;
  throw new HildaError('SCOPE_MISSING', `${name} may ${scope}, this needs ${needed}`, {
    details: { has: scope, needs: needed },
  });
}

export const refusedToken = (why: string): HildaError => new HildaError('TOKEN_REFUSED', why);

import { randomBytes, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import type { Clock } from '../core/clock.js';
import { HildaError } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import type { Joined, JoinerKind, JoinKeys } from '../devices/join-keys.js';
import type { Store } from '../store/contract.js';
import { tokenHash } from './token-hash.js';

const recordSchema = z.object({
  id: z.string(),
  kind: z.enum(['page', 'agent']),
  label: z.string(),
  /** SHA-256 of the key; the key itself is nowhere but with its holder. */
  hash: z.string(),
  state: z.enum(['active', 'revoked']),
  createdMs: z.number(),
  /** The invitation it came by. */
  pairing: z.string(),
});
/** A joiner that holds, or held, a key. */
export type JoinerRecord = z.infer<typeof recordSchema>;

interface Token {
  readonly hash: Buffer;
  readonly pairing: string;
  readonly kind: JoinerKind;
  readonly bound: DeviceId | undefined;
  /** The joiner that its guest is said to be. */
  readonly again: string | undefined;
  readonly expiresMs: number;
}

const tokenLifeMs = 10 * 60_000;
/** Invitations that are remembered beside those of the joiners; beyond that the oldest are forgotten. */
const mostInvitations = 1000;
const indexKey = 'joiners';
const prefixes = { page: 'browser', agent: 'agent' } as const;

/** Tokens live in memory, as their minutes do; keys are in the store. A key is `<id>.<192 random bits>`. */
export class StoredJoinKeys implements JoinKeys {
  readonly #store: Pick<Store, 'value' | 'setValue'>;
  readonly #clock: Clock;
  readonly #invitesAgents: (token: string) => Promise<boolean>;
  readonly #listeners = new Set<(id: string) => void>();
  #tokens: Token[] = [];
  /** Guests by pairing, the oldest first. */
  readonly #invited = new Map<string, string>();
  /** Pairings of those who joined and may come again; read once. */
  #joined: Promise<Set<string>> | undefined;

  /** `invitesAgents`: whether a token that somebody else made lets machines join; it is not used up. */
  constructor(
    store: Pick<Store, 'value' | 'setValue'>,
    clock: Clock,
    invitesAgents: (token: string) => Promise<boolean> = async () => false,
  ) {
    this.#store = store;
    this.#clock = clock;
    this.#invitesAgents = invitesAgents;
  }

  async issue(kind: JoinerKind, bound?: DeviceId) {
    return this.#issue(kind, bound, undefined);
  }

  /**
   * Invites one that joined before and lost its key to come back as who it was: it gets a new key, the old one ends. That it is
   * the same one is the word of the person who invites. Throws NOT_FOUND, KEY_REVOKED.
   */
  async issueAgain(id: string) {
    const record = await this.#read(id);
    if (!record) throw new HildaError('NOT_FOUND', `nobody joined as ${id}`);
    if (record.state === 'revoked') throw new HildaError('KEY_REVOKED', `the key of ${id} was revoked`);
    return this.#issue(record.kind, undefined, id);
  }

  #issue(kind: JoinerKind, bound: DeviceId | undefined, again: string | undefined) {
    const pairing = randomBytes(6).toString('hex');
    const token = `${pairing}.${randomBytes(18).toString('base64url')}`;
    const expiresMs = this.#clock.nowMs() + tokenLifeMs;
    this.#tokens = this.#tokens.filter((other) => other.expiresMs > this.#clock.nowMs());
    this.#tokens.push({ hash: tokenHash(token), kind, bound, again, pairing, expiresMs });
    this.#remember(pairing, bound ?? guestBy(pairing));
    return { token, pairing, expiresMs };
  }

  /** The invitation that a standing token is, to the one who shows it now. */
  #standing(hash: Buffer): Token {
    const pairing = randomBytes(6).toString('hex');
    return {
      hash,
      kind: 'agent',
      bound: undefined,
      again: undefined,
      pairing,
      expiresMs: Number.POSITIVE_INFINITY,
    };
  }

  async guestOf(pairing: string): Promise<string | undefined> {
    const invited = this.#invited.get(pairing);
    if (invited !== undefined) return invited;
    return (await this.#pairings()).has(pairing) ? guestBy(pairing) : undefined;
  }

  async redeem(kind: JoinerKind, token: string, label: string, held?: string): Promise<Joined> {
    const hash = tokenHash(token);
    const found =
      this.#tokens.find((other) => other.kind === kind && timingSafeEqual(other.hash, hash)) ??
      (kind === 'agent' && (await this.#invitesAgents(token)) ? this.#standing(hash) : undefined);
    if (!found || found.expiresMs <= this.#clock.nowMs())
      throw new HildaError('PAIRING_REFUSED', 'the token is unknown, used or too old');
    this.#tokens = this.#tokens.filter((other) => other !== found);
    if (found.bound !== undefined) return { id: found.bound, key: null };
    const shown = held === undefined ? undefined : await this.recognise(kind, held).catch(() => undefined);
    const known = await this.#read(found.again ?? shown?.id ?? '');
    if (known?.state === 'active' && (found.again === undefined || found.again === shown?.id)) {
      await this.#write({ ...known, label, pairing: found.pairing });
      return { id: known.id, key: null };
    }
    if (found.again !== undefined) {
      // It may have been revoked meanwhile.
      if (known?.state !== 'active')
        throw new HildaError('KEY_REVOKED', `the key of ${found.again} was revoked`);
      const key = keyFor(known.id);
      const hash = tokenHash(key).toString('hex');
      await this.#write({ ...known, label, hash, pairing: found.pairing });
      return { id: known.id, key };
    }
    const id = `${prefixes[kind]}-${randomBytes(3).toString('hex')}`;
    const key = keyFor(id);
    const createdMs = this.#clock.nowMs();
    const { pairing } = found;
    const state = 'active';
    await this.#write({ id, kind, label, hash: tokenHash(key).toString('hex'), state, createdMs, pairing });
    const index = await this.#index();
    await this.#store.setValue(indexKey, [...index, id]);
    return { id, key };
  }

  async recognise(kind: JoinerKind, key: string): Promise<Joined> {
    const id = key.slice(0, key.indexOf('.'));
    const record = await this.#read(id);
    const known =
      record?.kind === kind && timingSafeEqual(Buffer.from(record.hash, 'hex'), tokenHash(key))
        ? record
        : undefined;
    if (!known) throw new HildaError('PAIRING_REFUSED', 'the key is unknown');
    if (known.state === 'revoked') throw new HildaError('KEY_REVOKED', `the key of ${id} was revoked`);
    return { id, key: null };
  }

  /** Everyone who ever joined, in that order. */
  async joiners(): Promise<JoinerRecord[]> {
    const records = await Promise.all((await this.#index()).map((id) => this.#read(id)));
    return records.filter((record) => record !== undefined);
  }

  /** For good; the peer connected with it is told and disconnected. Throws NOT_FOUND. */
  async revoke(id: string): Promise<JoinerRecord> {
    const record = await this.#read(id);
    if (!record) throw new HildaError('NOT_FOUND', `nobody joined as ${id}`);
    const revoked = { ...record, state: 'revoked' } as const;
    await this.#write(revoked);
    this.#invited.delete(record.pairing);
    for (const listener of [...this.#listeners]) listener(id);
    return revoked;
  }

  onRevoked(listener: (id: string) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #remember(pairing: string, guest: string): void {
    this.#invited.set(pairing, guest);
    const [oldest] = this.#invited.keys();
    if (this.#invited.size > mostInvitations && oldest !== undefined) this.#invited.delete(oldest);
  }

  #pairings(): Promise<Set<string>> {
    this.#joined ??= this.joiners().then(
      (all) => new Set(all.filter(({ state }) => state === 'active').map(({ pairing }) => pairing)),
    );
    return this.#joined;
  }

  async #index(): Promise<string[]> {
    return z
      .array(z.string())
      .catch([])
      .parse(await this.#store.value(indexKey));
  }

  async #read(id: string): Promise<JoinerRecord | undefined> {
    return recordSchema.safeParse(await this.#store.value(`joiner ${id}`)).data;
  }

  async #write(record: JoinerRecord): Promise<void> {
    await this.#store.setValue(`joiner ${record.id}`, record);
    this.#joined = undefined;
  }
}

const guestBy = (pairing: string): string => `the guest of invitation ${pairing}`;

const keyFor = (id: string): string => `${id}.${randomBytes(24).toString('base64url')}`;

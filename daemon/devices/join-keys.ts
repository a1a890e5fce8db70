import type { DeviceId } from '../core/ids.js';

/** Who joins over the network: a browser page, or an agent with devices of its own. */
export type JoinerKind = 'page' | 'agent';

export interface Joined {
  /** The joiner's own stable id, e.g. `browser-3f2a91`. */
  readonly id: string;
  /** The key to come back with, handed out once; null where it is known already, or none is given. */
  readonly key: string | null;
}

/**
 * Has a token or key looked at where its owner may still try. Throws ATTEMPTS_LIMITED without a look, or what the look
 * throws.
 */
export type Admit = <T>(look: () => Promise<T>) => Promise<T>;

/**
 * Tokens and keys. A token is for one use within minutes and is exchanged for a key; only the key's hash is kept. A
 * token may be bound to a device, e.g. to the phone on whose screen it was opened: then it gives that id and no key.
 */
export interface JoinKeys {
  issue(
    kind: JoinerKind,
    bound?: DeviceId,
  ): Promise<{
    readonly token: string;
    /** Names this invitation, without being able to stand for it. The token's part before the dot. */
    readonly pairing: string;
    readonly expiresMs: number;
  }>;
  /**
   * Who was invited by this `pairing`, whether the token is used or not: the device that it was bound to, or the peer that it was
   * handed to. Only they know it, so it tells guests of one address apart; it lets nobody in.
   */
  guestOf(pairing: string): Promise<string | undefined>;
  /** A peer that also shows a good `key` keeps its identity. Throws PAIRING_REFUSED. */
  redeem(kind: JoinerKind, token: string, label: string, key?: string): Promise<Joined>;
  /** Throws PAIRING_REFUSED, KEY_REVOKED. */
  recognise(kind: JoinerKind, key: string): Promise<Joined>;
  /** Calls back with the id of each joiner whose key is revoked. Returns the way to stop. */
  onRevoked(listener: (id: string) => void): () => void;
}

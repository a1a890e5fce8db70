import { localTokenFor } from '../daemon/access/local-token.js';

/** As `fetch`, with the token that a daemon of this process or user wrote down: what commands show. */
export async function ownerFetch(url: string, init: RequestInit = {}): Promise<Response> {
  const token = await localTokenFor(new URL(url).origin);
  const headers = new Headers(init.headers);
  if (token) headers.set('authorization', `Bearer ${token}`);
  return fetch(url, { ...init, headers });
}

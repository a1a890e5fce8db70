import { createHash } from 'node:crypto';

/** SHA-256 of a token: 32 bytes, for comparisons in constant time. */
export const tokenHash = (token: string): Buffer => createHash('sha256').update(token).digest();

import { createHash } from 'node:crypto';

/** SHA-256 by the platform's own code: models of 100 MB would hold the daemon up for a second in plain JavaScript. */
export const contentHash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

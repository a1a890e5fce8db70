import { X509Certificate } from 'node:crypto';
import { generate } from 'selfsigned';
import type { DaemonKey } from './daemon-key.js';

/** What a TLS server shows: one certificate, and the key that it names. */
export interface Certificate {
  readonly key: string;
  readonly cert: string;
  /** SHA-256 of the certificate, colon-separated upper-case bytes, as browsers show it. It changes with each renewal. */
  readonly fingerprint: string;
}

/** The longest that Apple's systems accept of any certificate. */
const lifeDays = 825;
const dayMs = 86_400_000;

/** Issues a certificate of the key to itself. It is valid from a day before now, as clocks differ. */
export async function issueCertificate(
  { privateKey, publicKey }: DaemonKey,
  { names, addresses, nowMs }: { names: readonly string[]; addresses: readonly string[]; nowMs: number },
): Promise<X509Certificate> {
  const { cert } = await generate([{ name: 'commonName', value: 'hilda' }], {
    keyPair: { privateKey, publicKey },
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    notBeforeDate: new Date(nowMs - dayMs),
    notAfterDate: new Date(nowMs + (lifeDays - 1) * dayMs),
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      {
        name: 'subjectAltName',
        altNames: [
          ...names.map((value) => ({ type: 2 as const, value })),
          ...addresses.map((ip) => ({ type: 7 as const, ip })),
        ],
      },
    ],
  });
  return new X509Certificate(cert);
}

import { X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { hostname, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { generate } from 'selfsigned';

export interface Certificate {
  readonly key: string;
  readonly cert: string;
  /** SHA-256 of the certificate, colon-separated upper-case bytes: what agents pin. */
  readonly fingerprint: string;
}

const lifeDays = 825; // The longest that Apple's systems accept of any certificate.
const renewBeforeMs = 30 * 86_400_000;

/** This machine's IPv4 addresses on its networks, loopback left out. */
export const lanAddresses = (): string[] =>
  Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(({ family, internal }) => family === 'IPv4' && !internal)
    .map(({ address }) => address);

/**
 * The daemon's own certificate, kept in the data folder (mode 0600). Made anew when it is about to end or names other
 * addresses than the machine has now; whoever accepted or pinned the old one has to do so again.
 */
export async function daemonCertificate(dataDir: string, nowMs: number): Promise<Certificate> {
  const path = join(dataDir, 'certificate.pem');
  const names = ['localhost', hostname()];
  const addresses = ['127.0.0.1', ...lanAddresses()];
  const kept = await readFile(path, 'utf8').catch(() => '');
  const [key, cert] = [pem(kept, 'PRIVATE KEY'), pem(kept, 'CERTIFICATE')];
  if (key && cert) {
    const parsed = new X509Certificate(cert);
    const fresh = Date.parse(parsed.validTo) - nowMs > renewBeforeMs;
    if (fresh && addresses.every((address) => parsed.checkIP(address)))
      return { key, cert, fingerprint: parsed.fingerprint256 };
  }
  const made = await generate([{ name: 'commonName', value: `hilda on ${hostname()}` }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    notBeforeDate: new Date(nowMs - 86_400_000),
    notAfterDate: new Date(nowMs + lifeDays * 86_400_000),
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
  await writeFile(path, `${made.private}\n${made.cert}\n`, { mode: 0o600 });
  return {
    key: made.private,
    cert: made.cert,
    fingerprint: new X509Certificate(made.cert).fingerprint256,
  };
}

function pem(text: string, label: string): string | undefined {
  return new RegExp(`-----BEGIN ${label}-----[\\s\\S]+?-----END ${label}-----`).exec(text)?.[0];
}

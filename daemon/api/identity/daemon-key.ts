import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HildaError } from '../../core/errors.js';
import { mapStoreError } from '../../store/map-errors.js';
import { writeWhole } from '../../store/write-whole.js';

/** What a daemon is known by for as long as its data folder lives; its certificates come and go. */
export interface DaemonKey {
  /** PKCS #8, PEM. */
  readonly privateKey: string;
  /** SubjectPublicKeyInfo, PEM. */
  readonly publicKey: string;
  /** SHA-256 of the SubjectPublicKeyInfo in hexadecimal digits: what agents pin. */
  readonly pin: string;
}

/** SHA-256 of a public key's SubjectPublicKeyInfo (RFC 7469, section 2.4), as hexadecimal digits. */
export const pinOf = (publicKey: KeyObject): string =>
  createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex');

const keyFile = (dataDir: string): string => join(dataDir, 'key.pem');
/** Written by earlier versions: key and certificate in one. It is read, and left as it is. */
export const formerFile = (dataDir: string): string => join(dataDir, 'certificate.pem');

/**
 * The daemon's key, kept in `key.pem` (mode 0600). It is made once: where the folder holds neither a key nor a certificate.
 * A key of an earlier version is taken over. Throws IDENTITY_UNUSABLE where a key is there and cannot be used, or is missing
 * beside its certificates; DISK_FULL.
 */
export async function daemonKey(dataDir: string): Promise<DaemonKey> {
  const path = keyFile(dataDir);
  const kept = await readIdentityFile(path);
  if (kept !== null) {
    await assertPrivate(path);
    return parseKey(kept, path);
  }
  const former = await readIdentityFile(formerFile(dataDir));
  if (former !== null) {
    const key = parseKey(pemOf(former, 'PRIVATE KEY') ?? '', formerFile(dataDir));
    await save(path, key.privateKey);
    return key;
  }
  if ((await readIdentityFile(certificatesFile(dataDir))) !== null)
    throw unusable('missing', `${path} is missing, though certificates of it are there`);
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const text = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  await save(path, text);
  return parseKey(text, path);
}

export const certificatesFile = (dataDir: string): string => join(dataDir, 'certificates.pem');

/** The first block of a label in PEM text. */
export const pemOf = (text: string, label: string): string | undefined =>
  new RegExp(`-----BEGIN ${label}-----[^-]+-----END ${label}-----`).exec(text)?.[0];

/** Null where there is no such file. Throws IDENTITY_UNUSABLE. */
export async function readIdentityFile(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT') return null;
    throw unusable('unreadable', `${path} cannot be read: ${message}`, cause);
  }
}

export function unusable(
  why: 'unreadable' | 'damaged' | 'permissions' | 'missing' | 'foreign',
  message: string,
  cause?: unknown,
  hint?: string,
): HildaError {
  return new HildaError('IDENTITY_UNUSABLE', message, {
    details: { why },
    ...(cause !== undefined && { cause }),
    ...(hint !== undefined && { hint }),
  });
}

/** A key that other users can read is no secret, and they may have it by now. */
async function assertPrivate(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const { mode } = await stat(path);
  if ((mode & 0o077) !== 0)
    throw unusable(
      'permissions',
      `${path} can be used by others than its owner (mode ${(mode & 0o777).toString(8)})`,
      undefined,
      `If nobody else can have read it: chmod 600 ${path}. Otherwise move it away with certificate.pem and certificates.pem: a new key is made, and every agent and page joins anew.`,
    );
}

function parseKey(text: string, path: string): DaemonKey {
  try {
    const privateKey = createPrivateKey(text);
    const curve = privateKey.asymmetricKeyDetails?.namedCurve;
    if (curve !== 'prime256v1') throw new Error('it is no key on the curve P-256');
    const publicKey = createPublicKey(privateKey);
    return {
      privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
      pin: pinOf(publicKey),
    };
  } catch (cause) {
    throw unusable('damaged', `${path} holds no key that can be used: ${(cause as Error).message}`, cause);
  }
}

async function save(path: string, text: string): Promise<void> {
  try {
    await writeWhole(path, text);
  } catch (thrown) {
    throw mapStoreError(thrown, `storing ${path}`);
  }
}

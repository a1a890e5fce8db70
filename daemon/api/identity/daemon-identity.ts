import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import type { Clock } from '../../core/clock.js';
import { HildaError } from '../../core/errors.js';
import { hostNames, lanAddresses, plainAddress } from '../../devices/own-addresses.js';
import { mapStoreError } from '../../store/map-errors.js';
import { writeWhole } from '../../store/write-whole.js';
import { type Certificate, issueCertificate } from './certificate.js';
import {
  certificatesFile,
  type DaemonKey,
  daemonKey,
  formerFile,
  pemOf,
  pinOf,
  readIdentityFile,
  unusable,
} from './daemon-key.js';

export interface IdentityOptions {
  readonly dataDir: string;
  readonly clock: Clock;
  /** This machine's addresses and names as they are now. */
  readonly addresses?: () => readonly string[];
  readonly names?: () => readonly string[];
}

const renewBeforeMs = 30 * 86_400_000;
/** A laptop meets many networks; beyond this, the oldest that names no present address goes. */
const mostCertificates = 32;
const always = { names: ['localhost'], addresses: ['127.0.0.1'] } as const;

/**
 * The daemon's one key and its certificates. A browser that was told to accept a certificate accepts that one alone, at the
 * address where it was asked. So no certificate is replaced before it ends: another address gets one more, of the same key,
 * and each connection is shown the oldest good one that names the address it came in at.
 */
export class DaemonIdentity {
  readonly #options: Required<IdentityOptions>;
  readonly #key: DaemonKey;
  /** The oldest first. */
  #certificates: readonly X509Certificate[];

  private constructor(options: Required<IdentityOptions>, key: DaemonKey, kept: readonly X509Certificate[]) {
    this.#options = options;
    this.#key = key;
    this.#certificates = kept;
  }

  /**
   * Reads the kept key and certificates; makes what is missing. Throws IDENTITY_UNUSABLE for what is there and damaged, and
   * DISK_FULL.
   */
  static async open(options: IdentityOptions): Promise<DaemonIdentity> {
    const { dataDir } = options;
    const key = await daemonKey(dataDir);
    const whole = { addresses: lanAddresses, names: hostNames, ...options };
    const identity = new DaemonIdentity(whole, key, await keptCertificates(dataDir, key));
    await identity.renew();
    return identity;
  }

  /** What agents pin: see `DaemonKey.pin`. */
  get pin(): string {
    return this.#key.pin;
  }

  /** For connections that come in at this address. */
  certificateFor(address: string): Certificate {
    const plain = plainAddress(address);
    return this.#shown((one) => isIP(plain) !== 0 && one.checkIP(plain) !== undefined);
  }

  /** For clients that ask for this host by name. */
  certificateNamed(name: string): Certificate {
    return this.#shown((one) => /^[\w.-]+$/.test(name) && one.checkHost(name) !== undefined);
  }

  /**
   * Issues a certificate where an address or name of now stands in none that lasts. Answers whether it did. Throws
   * DISK_FULL, after which the kept ones are shown as before.
   */
  async renew(): Promise<boolean> {
    const { dataDir, clock } = this.#options;
    const addresses = [...new Set([...always.addresses, ...this.#options.addresses()])];
    const names = [...new Set([...always.names, ...this.#options.names()])];
    const lasting = this.#certificates.filter((one) => lasts(one, clock.nowMs()));
    const named =
      addresses.every((address) => lasting.some((one) => one.checkIP(address))) &&
      names.every((name) => lasting.some((one) => one.checkHost(name)));
    if (named) return false;
    const made = await issueCertificate(this.#key, { names, addresses, nowMs: clock.nowMs() });
    const next = pruned([...this.#certificates, made], addresses);
    const path = certificatesFile(dataDir);
    try {
      await writeWhole(path, next.map((one) => one.toString()).join(''));
    } catch (thrown) {
      throw mapStoreError(thrown, `storing ${path}`);
    }
    this.#certificates = next;
    return true;
  }

  /**
   * Null, or CLOCK_BEHIND: by this machine's clock the kept certificates are not valid yet. They are shown all the same, as
   * a clock that was set back is the likelier fault.
   */
  clockFault(): HildaError | null {
    const nowMs = this.#options.clock.nowMs();
    const [first] = this.#certificates;
    if (!first || this.#certificates.some((one) => Date.parse(one.validFrom) <= nowMs)) return null;
    return new HildaError(
      'CLOCK_BEHIND',
      `this machine's clock says ${new Date(nowMs).toISOString()}, before the daemon's certificate begins (${new Date(first.validFrom).toISOString()})`,
      { details: { nowMs, validFromMs: Date.parse(first.validFrom) } },
    );
  }

  #shown(names: (certificate: X509Certificate) => boolean): Certificate {
    const nowMs = this.#options.clock.nowMs();
    const naming = this.#certificates.filter(names);
    // `open` has issued one at least.
    const [last] = this.#certificates.slice(-1) as [X509Certificate];
    const best = [...naming].sort((a, b) => rank(a, nowMs) - rank(b, nowMs))[0] ?? last;
    return { key: this.#key.privateKey, cert: best.toString(), fingerprint: best.fingerprint256 };
  }
}

/** Valid and lasting, about to end, not valid yet, over. Sorting by it keeps the oldest of a rank first. */
function rank({ validFrom, validTo }: X509Certificate, nowMs: number): number {
  if (Date.parse(validTo) <= nowMs) return 3;
  if (Date.parse(validFrom) > nowMs) return 2;
  return Date.parse(validTo) - nowMs > renewBeforeMs ? 0 : 1;
}

/** One that is not valid yet lasts too: see `clockFault`. */
const lasts = (certificate: X509Certificate, nowMs: number): boolean =>
  [0, 2].includes(rank(certificate, nowMs));

function pruned(all: readonly X509Certificate[], addresses: readonly string[]): X509Certificate[] {
  const kept = [...all];
  const elsewhere = addresses.filter((address) => address !== always.addresses[0]);
  const needed = (one: X509Certificate): boolean => elsewhere.some((address) => one.checkIP(address));
  while (kept.length > mostCertificates) {
    const index = kept.findIndex((one) => !needed(one));
    kept.splice(Math.max(0, index), 1);
  }
  return kept;
}

async function keptCertificates(dataDir: string, key: DaemonKey): Promise<X509Certificate[]> {
  const path = certificatesFile(dataDir);
  const text = await readIdentityFile(path);
  if (text === null) {
    // That of an earlier version goes on being shown: browsers have accepted it, and agents may have pinned it.
    const former = pemOf((await readIdentityFile(formerFile(dataDir))) ?? '', 'CERTIFICATE');
    const certificates = former === undefined ? [] : parsed([former], formerFile(dataDir));
    return certificates.filter((one) => pinOf(one.publicKey) === key.pin);
  }
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  const rest = blocks.reduce((left, block) => left.replace(block, ''), text);
  if (blocks.length === 0 || rest.trim() !== '') throw damaged(path, 'it is not a list of certificates');
  const certificates = parsed(blocks, path);
  if (certificates.some((one) => pinOf(one.publicKey) !== key.pin))
    throw unusable(
      'foreign',
      `${path} holds certificates of another key than key.pem`,
      undefined,
      remade(path),
    );
  return certificates;
}

function parsed(blocks: readonly string[], path: string): X509Certificate[] {
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch (cause) {
    throw damaged(path, (cause as Error).message, cause);
  }
}

const damaged = (path: string, why: string, cause?: unknown): HildaError =>
  unusable('damaged', `${path} is damaged: ${why}`, cause, remade(path));

const remade = (path: string): string =>
  `Move ${path} away: certificates are issued anew for the same key. Agents go on; browsers have to accept the new one once.`;

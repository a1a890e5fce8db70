import type { X509Certificate } from 'node:crypto';
import { connect, type TLSSocket } from 'node:tls';
import { pinOf } from '../api/identity/daemon-key.js';
import { HildaError } from '../core/errors.js';

/** By what a daemon's own certificate is trusted. One of both suffices. */
export interface Trust {
  /** SHA-256 of its public key (SubjectPublicKeyInfo): it outlasts certificates. */
  readonly pin?: string;
  /** SHA-256 of one certificate, as commands of earlier versions name it. */
  readonly fingerprint?: string;
}

const bare = (hash: string): string => hash.replace(/[^0-9a-f]/gi, '').toLowerCase();

/** Whether a text can be a SHA-256 at all: a cut or mistyped one would fit no daemon. */
export const isHash = (text: string): boolean => /^[0-9a-f]{64}$/.test(bare(text));

const handshakeMs = 10_000;

/**
 * Opens a TLS connection to a daemon and checks who it is before a byte of ours is sent. No authority is asked. Answers with
 * the pin of the key that the daemon proved to hold. Throws DAEMON_UNREACHABLE, DAEMON_MISMATCH, the signal's reason.
 */
export function openTrusted(
  url: URL,
  trust: Trust,
  signal: AbortSignal,
): Promise<{ readonly socket: TLSSocket; readonly pin: string }> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const socket = connect({
      host,
      port: Number(url.port || 443),
      rejectUnauthorized: false,
      timeout: handshakeMs,
      ...(/[a-z]/i.test(host) && !host.includes(':') && { servername: host }),
    });
    const abort = (): void => fail(signal.reason);
    const fail = (reason: unknown): void => {
      signal.removeEventListener('abort', abort);
      socket.destroy();
      reject(reason);
    };
    const unreachable = (why: string, cause?: unknown): HildaError =>
      new HildaError('DAEMON_UNREACHABLE', `no daemon answers at ${url.origin}: ${why}`, { cause });
    signal.addEventListener('abort', abort, { once: true });
    const silent = (): void => fail(unreachable(`nothing for ${handshakeMs} ms`));
    const broken = (error: Error): void => fail(unreachable(error.message, error));
    socket.once('timeout', silent);
    socket.on('error', broken);
    socket.once('secureConnect', () => {
      const certificate = socket.getPeerX509Certificate();
      if (!certificate) return fail(unreachable('it shows no certificate'));
      const pin = pinOf(certificate.publicKey);
      if (!holds(trust, certificate, pin)) return fail(mismatch(url, pin));
      signal.removeEventListener('abort', abort);
      // The ws client stops the timer itself.
      socket.off('timeout', silent);
      resolve({ socket, pin });
    });
  });
}

const holds = ({ pin, fingerprint }: Trust, certificate: X509Certificate, shown: string): boolean =>
  (pin !== undefined && bare(pin) === shown) ||
  (fingerprint !== undefined && bare(fingerprint) === bare(certificate.fingerprint256));

const mismatch = ({ origin }: URL, shown: string): HildaError =>
  new HildaError('DAEMON_MISMATCH', `${origin} shows another key than the one that was named`, {
    details: { shown },
  });

import { type KnownDaemonFile, mostAddresses } from '../agent/known-daemon.js';
import { asHildaError, HildaError } from '../core/errors.js';
import type { Connection } from '../devices/connection.js';
import { connectWs } from './connect-ws.js';
import type { Trust } from './trust.js';

export interface DialOptions {
  /** As the user named them, the best first. */
  readonly given: readonly string[];
  /** As the user named it; otherwise what is remembered counts. */
  readonly trust: Trust;
  readonly memory: KnownDaemonFile;
  readonly onEvent: (event: string, details: Readonly<Record<string, unknown>>) => void;
  readonly connect?: typeof connectWs;
}

/**
 * Reaches the daemon at whichever of its addresses it answers: first where it answered last, then as the user named them, then
 * as it announced them itself. Announced addresses are tried under a pin alone, so that a key is shown to nobody else.
 */
export class DaemonDialer {
  readonly #options: DialOptions;

  constructor(options: DialOptions) {
    this.#options = options;
  }

  /** Addresses in the order in which they are tried. */
  addresses(): string[] {
    const { given, memory } = this.#options;
    const { announced, last } = this.#isOther() ? { announced: [], last: null } : memory.known;
    const named = given.map(origin);
    if (this.#trust() === null)
      return [...new Set(last !== null && named.includes(last) ? [last, ...named] : named)];
    const all = [...(last === null ? [] : [last]), ...named, ...announced];
    return [...new Set(all)].filter((url) => url.startsWith('wss:'));
  }

  /**
   * Tries each address once. Throws DAEMON_MISMATCH where all that answer are others and the daemon was never met,
   * ATTEMPTS_LIMITED, otherwise DAEMON_UNREACHABLE with what each address said.
   */
  async connect({
    signal,
    visit,
  }: {
    readonly signal: AbortSignal;
    readonly visit?: string;
  }): Promise<Connection> {
    const { memory, onEvent, connect = connectWs } = this.#options;
    const trust = this.#trust();
    const failures: HildaError[] = [];
    const addresses = this.addresses();
    for (const url of addresses) {
      signal.throwIfAborted();
      let pin: string | null = null;
      try {
        const connection = await connect(doorAt(url, visit), {
          signal,
          ...trust,
          onMet: (met) => {
            pin = met;
          },
        });
        await this.#remember(url, pin);
        return connection;
      } catch (thrown) {
        if (signal.aborted) throw thrown;
        const error = asHildaError(thrown);
        if (error.code === 'DAEMON_MISMATCH')
          onEvent('wrong-host', { url, message: error.message, code: error.code });
        failures.push(error);
      }
    }
    throw verdictOf(failures, addresses, memory.known.last !== null && !this.#isOther());
  }

  /** The daemon tells where it can be reached now. */
  async announced(urls: readonly string[]): Promise<void> {
    const sound = urls.filter((url) => /^wss?:$/.test(URL.canParse(url) ? new URL(url).protocol : ''));
    await this.#change({ announced: [...new Set(sound.map(origin))].slice(0, mostAddresses) });
  }

  /** Null where neither the user nor an earlier meeting named a key: an authority decides. */
  #trust(): Trust | null {
    const { trust, memory } = this.#options;
    const { pin, fingerprint } = memory.known;
    if (trust.pin !== undefined) return { pin: trust.pin };
    // The certificate of an old command may have ended; the key that it vouched for has not.
    if (trust.fingerprint !== undefined)
      return { ...trust, ...(pin !== null && fingerprint === trust.fingerprint && { pin }) };
    return pin === null ? null : { pin };
  }

  /** The user names another daemon than the one that is remembered. */
  #isOther(): boolean {
    const { trust, memory } = this.#options;
    const { pin, fingerprint } = memory.known;
    if (trust.pin !== undefined) return trust.pin !== pin;
    return trust.fingerprint !== undefined && trust.fingerprint !== fingerprint;
  }

  async #remember(url: string, pin: string | null): Promise<void> {
    const { trust, memory } = this.#options;
    const { known } = memory;
    const fingerprint = trust.fingerprint ?? (pin === known.pin ? known.fingerprint : null);
    await this.#change({ ...(pin !== known.pin && { announced: [] }), last: url, pin, fingerprint });
  }

  /** A full disk ends no connection: what is known holds until the agent ends. */
  async #change(changes: Parameters<KnownDaemonFile['change']>[0]): Promise<void> {
    try {
      await this.#options.memory.change(changes);
    } catch (thrown) {
      const { code, message } = asHildaError(thrown);
      this.#options.onEvent('warning', { code, message });
    }
  }
}

/** An address without path and with the scheme's own port left out, so that equal ones are seen to be equal. */
const origin = (url: string): string => {
  const { protocol, host } = new URL(url);
  return `${protocol}//${host}`;
};

function doorAt(url: string, visit: string | undefined): string {
  const door = new URL('/v1/agents/join', url);
  if (visit !== undefined) door.searchParams.set('visit', visit);
  return door.href;
}

function verdictOf(failures: readonly HildaError[], addresses: readonly string[], met: boolean): HildaError {
  const [first] = failures;
  if (failures.length === 1 && first && !(met && first.code === 'DAEMON_MISMATCH')) return first;
  const limited = failures.find(({ code }) => code === 'ATTEMPTS_LIMITED');
  if (limited) return limited;
  const wrong = failures.filter(({ code }) => code === 'DAEMON_MISMATCH');
  // A daemon that was met before may have moved to where nobody looked yet: it is looked for again.
  if (!met && wrong[0] && wrong.length === failures.length) return wrong[0];
  return new HildaError(
    'DAEMON_UNREACHABLE',
    `the daemon answers at none of ${addresses.length} addresses: ${failures.map(({ message }) => message).join('; ')}`,
    { details: { addresses, codes: failures.map(({ code }) => code) } },
  );
}

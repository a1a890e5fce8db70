import { fstatSync } from 'node:fs';
import type { Clock } from '../core/clock.js';
import { asHildaError, HildaError } from '../core/errors.js';
import { sendNotification } from './notify-tool.js';

type Environment = Record<string, string | undefined>;

export interface ServiceManagerOptions {
  readonly clock: Clock;
  /** Of this process; variables that name another are not ours. */
  readonly pid?: number;
  readonly onFailure?: (error: HildaError) => void;
  /** Sends lines to an address; the tools of this machine by default. */
  readonly send?: typeof sendNotification;
}

/** The first descriptor that a manager passes (SD_LISTEN_FDS_START). */
const firstSocket = 3;
/** How often a start that takes long asks for more time, and for how much. */
const startMs = 20_000;
const extendMs = 60_000;

/** The protocol between systemd and its services: sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3). */
export class ServiceManager {
  /** A listening socket that was passed, by its descriptor. */
  readonly socket: number | undefined;
  readonly #options: ServiceManagerOptions;
  readonly #address: string | undefined;
  readonly #watchdogMs: number | undefined;
  #hasFailed = false;

  private constructor(
    options: ServiceManagerOptions,
    found: {
      readonly socket: number | undefined;
      readonly address: string | undefined;
      readonly watchdogMs: number | undefined;
    },
  ) {
    this.#options = options;
    this.socket = found.socket;
    this.#address = found.address;
    this.#watchdogMs = found.watchdogMs;
  }

  /**
   * Reads the manager's variables and removes them: what the daemon starts must not speak for it. Throws USAGE_INVALID where
   * more sockets are passed than one.
   */
  static take(env: Environment, options: ServiceManagerOptions): ServiceManager {
    const { pid = process.pid } = options;
    const taken = (name: string): string | undefined => {
      const value = env[name];
      delete env[name];
      return value;
    };
    const [listenPid, listenFds] = [taken('LISTEN_PID'), taken('LISTEN_FDS')];
    taken('LISTEN_FDNAMES');
    const sockets = listenPid === String(pid) ? Number(listenFds) || 0 : 0;
    if (sockets > 1)
      throw new HildaError(
        'USAGE_INVALID',
        `the service manager passes ${sockets} sockets, hilda takes one`,
        {
          hint: 'Name one ListenStream in the socket unit, that of the API. --lan opens its ports itself.',
        },
      );
    const [watchdogPid, watchdogUs] = [taken('WATCHDOG_PID'), Number(taken('WATCHDOG_USEC'))];
    const isWatched = watchdogUs > 0 && (watchdogPid === undefined || watchdogPid === String(pid));
    return new ServiceManager(options, {
      socket: sockets === 1 ? firstSocket : undefined,
      address: taken('NOTIFY_SOCKET') || undefined,
      watchdogMs: isWatched ? watchdogUs / 1000 : undefined,
    });
  }

  /** Asks for time while the daemon starts, and says what it is at. */
  async starting(status: () => Promise<string>, signal: AbortSignal): Promise<void> {
    while (this.#address !== undefined && !signal.aborted) {
      await this.#say(`STATUS=${await status()}`, `EXTEND_TIMEOUT_USEC=${extendMs * 1000}`);
      await this.#options.clock.sleep(startMs, { signal }).catch(() => {});
    }
  }

  ready(status: string): Promise<void> {
    return this.#say('READY=1', `STATUS=${status}`);
  }

  stopping(): Promise<void> {
    return this.#say('STOPPING=1', 'STATUS=it stops');
  }

  /** Feeds the watchdog three times in its interval, as long as `isWell` resolves to true: it ends a daemon that hangs. */
  async watch(isWell: (withinMs: number) => Promise<boolean>, signal: AbortSignal): Promise<void> {
    if (this.#watchdogMs === undefined) return;
    const turnMs = this.#watchdogMs / 3;
    while (!signal.aborted) {
      if (await isWell(turnMs)) await this.#say('WATCHDOG=1');
      await this.#options.clock.sleep(turnMs, { signal }).catch(() => {});
    }
  }

  /** A manager that cannot be told is no reason to stop: it is said once. */
  async #say(...lines: readonly string[]): Promise<void> {
    if (this.#address === undefined) return;
    try {
      await (this.#options.send ?? sendNotification)(
        this.#address,
        lines.map((line) => line.replace(/\s+/g, ' ')),
      );
    } catch (thrown) {
      if (!this.#hasFailed) this.#options.onFailure?.(asHildaError(thrown));
      this.#hasFailed = true;
    }
  }
}

/** Whether a descriptor leads to the journal, as JOURNAL_STREAM (`device:inode`) says. The variable alone may be an ancestor's. */
export function isJournal(fd: number, env: Readonly<Environment>): boolean {
  try {
    const { dev, ino } = fstatSync(fd);
    return env.JOURNAL_STREAM === `${dev}:${ino}`;
  } catch {
    return false;
  }
}

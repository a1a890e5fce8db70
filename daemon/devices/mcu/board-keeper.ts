import type { BoardSession } from '../../../firmware-bridge/link/index.js';
import type { Clock } from '../../core/clock.js';
import { asHildaError, HildaError } from '../../core/errors.js';

export interface BoardKeeperOptions {
  /** Opens the line and says hello; DEVICE_FAILED while the board is not there. */
  readonly open: (signal: AbortSignal) => Promise<BoardSession>;
  readonly clock: Clock;
  /** How often the board is looked after. */
  readonly pingMs: number;
  /** Hears of boards that hung, left and came back. */
  readonly onTrouble?: ((error: HildaError) => void) | undefined;
}

/** Pings without an answer after which a board hangs. */
const mostMissed = 3;

/**
 * Keeps one board attached. A board that left is taken up again as soon as its port is back; one that no longer answers
 * is restarted and reported, and what it was doing fails with DEVICE_FAILED, which is worth another try.
 */
export class BoardKeeper {
  readonly #options: BoardKeeperOptions;
  readonly #life = new AbortController();
  #session: BoardSession | undefined;
  #opening: Promise<BoardSession> | undefined;
  #watching: Promise<void> | undefined;
  #heard = 0;

  constructor(options: BoardKeeperOptions) {
    this.#options = options;
  }

  /** The board, attached. Throws DEVICE_FAILED while it is not there, DEVICE_BUSY when another process has it. */
  async attach(signal: AbortSignal): Promise<BoardSession> {
    if (this.#life.signal.aborted) throw new HildaError('DEVICE_FAILED', 'the device was closed');
    signal.throwIfAborted();
    if (this.#session && !this.#session.lost && !this.#opening) return this.#session;
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  /**
   * Restarts the board: what it was doing ends with `reason`, and a caller that attaches meanwhile waits. A board that cannot be
   * restarted is dropped, and opened afresh by the next attach.
   */
  async restart(reason: HildaError): Promise<void> {
    const session = this.#session;
    if (this.#opening || !session || session.lost) return;
    const restarting = session.restart({ signal: this.#life.signal, reason }).then(
      () => session,
      (cause) => {
        session.fail(reason);
        throw cause;
      },
    );
    this.#opening = restarting.finally(() => {
      this.#opening = undefined;
    });
    await this.#opening;
  }

  /** Throws the board's session away: the next attach opens it afresh. */
  async drop(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.close().catch(() => {});
  }

  async close(): Promise<void> {
    this.#life.abort();
    await this.#opening?.catch(() => {});
    await this.#watching;
    await this.drop();
  }

  async #open(): Promise<BoardSession> {
    await this.drop();
    this.#session = await this.#options.open(this.#life.signal);
    this.#heard = this.#session.heard;
    this.#watching ??= this.#watch(this.#options.pingMs);
    return this.#session;
  }

  async #watch(pingMs: number): Promise<void> {
    const { signal } = this.#life;
    for (let missed = 0; !signal.aborted; ) {
      await this.#options.clock.sleep(pingMs, { signal }).catch(() => {});
      if (signal.aborted) return;
      try {
        const session = await this.attach(signal);
        await session.ping({ signal });
        this.#heard = session.heard;
        missed = 0;
      } catch (thrown) {
        if (signal.aborted) return;
        missed = (await this.#look(asHildaError(thrown), missed)) ? missed + 1 : 0;
      }
    }
  }

  /** Whether the ping counts as missed. */
  async #look(error: HildaError, missed: number): Promise<boolean> {
    const session = this.#session;
    if (!session || session.lost || error.details.unanswered !== true) return false;
    // Anything else that it sent meanwhile is as good as an answer; progress of its flash, above all.
    const lives = session.heard !== this.#heard || session.deaf;
    this.#heard = session.heard;
    if (lives) return false;
    if (missed + 1 < mostMissed) return true;
    const hung = hangs(
      session.restartable
        ? 'the board hung: it is restarted'
        : 'the board hung, and it cannot be restarted from here: press its reset button or plug it in again',
      error,
    );
    this.#options.onTrouble?.(hung);
    await this.restart(hung).catch((cause) => {
      if (session.restartable) this.#options.onTrouble?.(asHildaError(cause));
    });
    return false;
  }
}

const hangs = (message: string, cause: unknown): HildaError =>
  new HildaError('DEVICE_FAILED', message, { cause, details: { hung: true } });

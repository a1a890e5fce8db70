import type { Knex } from 'knex';

/** So many commits after a checkpoint the next one begins: busy pages are then moved once for many changes. */
const commitsBetween = 400;

/** Where a commit finds more pages of 4 KiB in the log, it moves them itself: so the log stays bounded, at 64 MiB. */
export const mostLogPages = 16_384;

/** Waits neither for the writer nor for readers, and moves what they allow. */
const checkpoint = 'PRAGMA wal_checkpoint(PASSIVE)';

/**
 * Moves committed pages from the write-ahead log into the database on a connection of its own, while the first one goes on
 * writing. By default SQLite does it within the commit that finds 1,000 pages in the log, and that commit waits for two syncs of
 * the disk and the writes between them.
 */
export class Checkpoints {
  readonly #open: () => Knex;
  #connection: Knex | undefined;
  #commits = 0;
  #running: Promise<void> | undefined;
  /** The log begins anew only once what was committed while pages were moved is moved too. */
  #isRestLeft = false;
  #isClosed = false;

  /** `open`: another connection to the same file. */
  constructor(open: () => Knex) {
    this.#open = open;
  }

  /** After each commit. `onFirst` runs a statement on the connection that has just committed. */
  async committed(onFirst: (sql: string) => Promise<unknown>): Promise<void> {
    this.#commits++;
    if (this.#isRestLeft) {
      this.#isRestLeft = false;
      // They are few, since the others were moved just now.
      await onFirst(checkpoint).catch(() => {});
    } else if (this.#commits >= commitsBetween && !this.#running && !this.#isClosed) {
      this.#commits = 0;
      this.#running = this.#move().finally(() => {
        this.#running = undefined;
      });
    }
  }

  /** Waits for what runs. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#running;
    await this.#connection?.destroy();
  }

  /** What fails here, e.g. on a full disk, stays in the log, which holds it just as safely; the next one tries again. */
  async #move(): Promise<void> {
    try {
      this.#connection ??= this.#open();
      await this.#connection.raw(checkpoint);
      this.#isRestLeft = true;
    } catch {}
  }
}

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { mapStoreError } from '../store/map-errors.js';
import { writeWhole } from '../store/write-whole.js';

/** More than any machine has, and no load for an agent that tries one after the other. */
export const mostAddresses = 32;

const knownSchema = z.object({
  /** SHA-256 of the daemon's public key, once it was proved; null for a daemon that an authority vouches for. */
  pin: z.string().nullable(),
  /** The certificate by which an earlier version's command named it, where the pin was learnt by that. */
  fingerprint: z.string().nullable(),
  /** As the daemon told them last, the best first. */
  announced: z.array(z.string()).max(mostAddresses),
  /** Where it answered last. */
  last: z.string().nullable(),
});
export type KnownDaemon = z.infer<typeof knownSchema>;

const nobody: KnownDaemon = { pin: null, fingerprint: null, announced: [], last: null };

/** What an agent remembers of its daemon, in `daemon.json` of its folder. A file that cannot be read is forgotten. */
export class KnownDaemonFile {
  readonly #path: string;
  #known = nobody;
  #writing: Promise<unknown> = Promise.resolve();

  constructor(dataDir: string) {
    this.#path = join(dataDir, 'daemon.json');
  }

  get known(): KnownDaemon {
    return this.#known;
  }

  /** Answers false where a file is there and cannot be read: its pin must then be named again. */
  async read(): Promise<boolean> {
    try {
      this.#known = knownSchema.parse(JSON.parse(await readFile(this.#path, 'utf8')));
      return true;
    } catch (thrown) {
      return (thrown as { code?: unknown }).code === 'ENOENT';
    }
  }

  /** Writes what changed, one writing after the other. Throws DISK_FULL; what is known stays known until the agent ends. */
  async change(changes: Partial<KnownDaemon>): Promise<void> {
    const next = { ...this.#known, ...changes };
    if (JSON.stringify(next) === JSON.stringify(this.#known)) return;
    this.#known = next;
    const write = this.#writing
      .catch(() => {})
      .then(() => writeWhole(this.#path, `${JSON.stringify(this.#known, null, 2)}\n`));
    this.#writing = write;
    try {
      await write;
    } catch (thrown) {
      throw mapStoreError(thrown, `storing ${this.#path}`);
    }
  }
}

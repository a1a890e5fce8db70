import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { storageFault } from './storage-fault.js';

/** As much as a key takes, so that a disk that has room for a name alone is found out. */
const probeBytes = 4096;

/** What an agent keeps about itself: its key, and the invitation that it came by. */
export class AgentFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Makes the folder, and proves that it takes a file before a token is spent on it. Throws PEER_STORAGE. */
  async prove(): Promise<void> {
    const probe = join(this.path, `.probe-${randomUUID()}`);
    await this.#writing(async () => {
      await mkdir(this.path, { recursive: true, mode: 0o700 });
      const file = await open(probe, 'wx', 0o600);
      try {
        await file.writeFile(Buffer.alloc(probeBytes, 1));
        await file.sync();
      } finally {
        await file.close();
        await rm(probe, { force: true });
      }
    });
  }

  async key(): Promise<string | undefined> {
    return this.#kept('key');
  }

  /** By it the daemon tells this agent from others of its address before it says a word. */
  async visit(token: string | undefined): Promise<string | undefined> {
    return (await this.key()) === undefined ? pairingOf(token) : this.#kept('visit');
  }

  /** Throws PEER_STORAGE. */
  async keep(key: string, token: string | undefined): Promise<void> {
    const visit = pairingOf(token);
    await this.#writing(async () => {
      await writeFile(join(this.path, 'key'), `${key}\n`, { mode: 0o600 });
      if (visit !== undefined) await writeFile(join(this.path, 'visit'), `${visit}\n`, { mode: 0o600 });
    });
  }

  async #kept(file: 'key' | 'visit'): Promise<string | undefined> {
    return (await readFile(join(this.path, file), 'utf8').catch(() => '')).trim() || undefined;
  }

  async #writing(write: () => Promise<void>): Promise<void> {
    try {
      await write();
    } catch (thrown) {
      throw storageFault(thrown, this.path);
    }
  }
}

const pairingOf = (token: string | undefined): string | undefined =>
  token?.includes('.') ? token.slice(0, token.indexOf('.')) : undefined;

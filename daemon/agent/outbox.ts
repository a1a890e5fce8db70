import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { AgentMessage, Hold } from '../devices/agent/wire.js';
import { storageFault } from './storage-fault.js';

type Said<Op> = Extract<AgentMessage, { op: Op }>;

/** In one piece, as it is kept: the tensors are base64. */
export type Outcome =
  | (Omit<Said<'result'>, 'tensors' | 'valueContent'> & { readonly tensors?: string })
  | Said<'failed'>;

const fileOf = ({ job, epoch }: Hold): string => `${job}.${epoch}.json`;

/**
 * Results that the daemon has not acknowledged yet, one file each: on the disk before they are sent, gone when they
 * were taken (or refused for good), so that neither a cut link nor a killed agent loses one.
 */
export class Outbox {
  readonly #folder: string;
  readonly #held = new Map<string, Outcome>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * Reads what an earlier run left. A file that cannot be read is a write that was cut short: its job runs again. Throws
   * PEER_STORAGE.
   */
  async start(): Promise<void> {
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    } catch (thrown) {
      throw storageFault(thrown, this.#folder);
    }
    for (const name of await readdir(this.#folder)) {
      const path = join(this.#folder, name);
      try {
        if (!name.endsWith('.json')) throw new Error('not a finished file');
        const outcome = JSON.parse(await readFile(path, 'utf8')) as Outcome;
        this.#held.set(fileOf(outcome), outcome);
      } catch {
        await rm(path, { force: true });
      }
    }
  }

  all(): Outcome[] {
    return [...this.#held.values()];
  }

  /** Held in any case; throws PEER_STORAGE where it is not on the disk. */
  async put(outcome: Outcome): Promise<void> {
    this.#held.set(fileOf(outcome), outcome);
    const path = join(this.#folder, fileOf(outcome));
    try {
      const file = await open(`${path}.part`, 'w', 0o600);
      try {
        await file.writeFile(JSON.stringify(outcome));
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(`${path}.part`, path);
    } catch (thrown) {
      await rm(`${path}.part`, { force: true }).catch(() => {});
      throw storageFault(thrown, this.#folder);
    }
  }

  async remove(hold: Hold): Promise<void> {
    this.#held.delete(fileOf(hold));
    // A file that stays is told again by the next run, and refused.
    await rm(join(this.#folder, fileOf(hold)), { force: true }).catch(() => {});
  }
}

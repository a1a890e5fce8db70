import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { AgentMessage, Hold } from '../devices/agent/wire.js';

/** On the disk a result's tensors are base64, so that one file holds all of it. */
export type Outcome = Extract<AgentMessage, { op: 'result' | 'failed' }> & { readonly tensors?: string };

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

  /** Reads what an earlier run left. A file that cannot be read is a write that was cut short: its job runs again. */
  async start(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
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

  async put(outcome: Outcome): Promise<void> {
    const path = join(this.#folder, fileOf(outcome));
    const file = await open(`${path}.part`, 'w', 0o600);
    try {
      await file.writeFile(JSON.stringify(outcome));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(`${path}.part`, path);
    this.#held.set(fileOf(outcome), outcome);
  }

  async remove(hold: Hold): Promise<void> {
    this.#held.delete(fileOf(hold));
    await rm(join(this.#folder, fileOf(hold)), { force: true });
  }
}

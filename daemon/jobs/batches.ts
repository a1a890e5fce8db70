import { asHildaError } from '../core/errors.js';
import { mayPass } from './outbox.js';

/**
 * Collects what comes while an earlier batch is under way, so that busy times share transactions and idle times wait for
 * nothing. `write` answers in the order of what it was given. Where a batch is refused for good, each item is tried alone: one
 * that cannot be written takes no other with it.
 */
export class Batches<Item, Answer> {
  readonly #write: (items: readonly Item[]) => Promise<readonly Answer[]>;
  readonly #most: number;
  #waiting: Waiting<Item, Answer>[] = [];
  #busy = false;

  constructor(write: (items: readonly Item[]) => Promise<readonly Answer[]>, most: number) {
    this.#write = write;
    this.#most = most;
  }

  put(item: Item): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      if (!this.#busy) void this.#drain();
    });
  }

  async #drain(): Promise<void> {
    this.#busy = true;
    // Callers in the same turn of the event loop share the first batch.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, this.#most);
      if (await this.#settle(batch)) continue;
      for (const one of batch) await this.#settle([one]);
    }
    this.#busy = false;
  }

  /** Whether its items know what became of them. */
  async #settle(batch: readonly Waiting<Item, Answer>[]): Promise<boolean> {
    try {
      const answers = await this.#write(batch.map(({ item }) => item));
      for (const [i, { resolve }] of batch.entries()) resolve(answers[i] as Answer);
    } catch (thrown) {
      if (batch.length > 1 && !mayPass(asHildaError(thrown))) return false;
      for (const { reject } of batch) reject(thrown);
    }
    return true;
  }
}

interface Waiting<Item, Answer> {
  readonly item: Item;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (reason: unknown) => void;
}

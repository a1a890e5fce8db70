import type { Entry } from './entry.js';

/** Jobs of one share, the oldest first. One that runs again takes its old place. */
export class Line {
  #entries: Entry[] = [];
  #from = 0;

  get size(): number {
    return this.#entries.length - this.#from;
  }

  first(): Entry | undefined {
    return this.#entries[this.#from];
  }

  add(entry: Entry): void {
    const last = this.#entries.at(-1);
    if (!last || this.size === 0 || last.ordinal < entry.ordinal) {
      this.#entries.push(entry);
      return;
    }
    this.#compact();
    const at = this.#entries.findIndex((one) => one.ordinal > entry.ordinal);
    this.#entries.splice(at === -1 ? this.#entries.length : at, 0, entry);
  }

  remove(entry: Entry): void {
    if (this.#entries[this.#from] === entry) {
      this.#from++;
      // Moving the rest costs as much as was taken since the last time.
      if (this.#from > this.#entries.length / 2) this.#compact();
      return;
    }
    this.#compact();
    const at = this.#entries.indexOf(entry);
    if (at !== -1) this.#entries.splice(at, 1);
  }

  #compact(): void {
    if (this.#from > 0) this.#entries = this.#entries.slice(this.#from);
    this.#from = 0;
  }
}

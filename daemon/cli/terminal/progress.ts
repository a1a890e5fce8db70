import type { Terminal } from './terminal.js';

/** Between two lines where lines cannot be rewritten: logs are read later. */
const quietMs = 10_000;

/** How far something is: one rewritten line on a terminal, else a line in ten seconds at most. The last one stays. */
export class Progress {
  readonly #terminal: Terminal;
  #latest = '';
  #noted = '';
  #notedMs = Number.NEGATIVE_INFINITY;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  show(text: string): void {
    if (text === this.#latest) return;
    this.#latest = text;
    if (this.#terminal.interactive) this.#terminal.status(text);
    else if (this.#terminal.clock.nowMs() - this.#notedMs >= quietMs) this.#note();
  }

  /** Says the last line where it was not said. */
  end(): void {
    if (this.#latest !== this.#noted) this.#note();
  }

  #note(): void {
    this.#terminal.note(this.#latest);
    this.#noted = this.#latest;
    this.#notedMs = this.#terminal.clock.nowMs();
  }
}

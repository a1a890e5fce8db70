/**
 * The daemon's calls by their numbers, over all connections of one session: what was heard is not done twice, and the reply to
 * the last call is kept for a daemon that did not hear it.
 */
export class HeardCalls {
  #last = 0;
  #reply: object | null = null;

  /** Number of the last call that was heard; 0 before any. */
  get last(): number {
    return this.#last;
  }

  /** The reply to the last call, once it is ready. */
  get reply(): object | null {
    return this.#reply;
  }

  /** False for a call that is said again after a break, though it was heard. */
  hear(id: number): boolean {
    if (id <= this.#last) return false;
    this.#last = id;
    this.#reply = null;
    return true;
  }

  /** False for the reply to a call that another one followed meanwhile. */
  answer(id: number, reply: object): boolean {
    if (id !== this.#last) return false;
    this.#reply = reply;
    return true;
  }

  /** The session is over: the next one counts from the start. */
  forget(): void {
    this.#last = 0;
    this.#reply = null;
  }
}

import type { Clock } from '../core/clock.js';
import { asHildaError, type HildaError } from '../core/errors.js';
import type { StudyId } from '../core/ids.js';
import type { Store, StudyRecord } from '../store/contract.js';

type Ended = Pick<StudyRecord, 'state' | 'reason'>;

export interface LateStatesOptions {
  readonly store: Pick<Store, 'setStudyState'>;
  readonly clock: Clock;
  readonly onError?: ((error: HildaError, study: StudyId) => void) | undefined;
}

/** Between two tries; a full disk may be full for days. */
const firstWaitMs = 1000;
const longestWaitMs = 30_000;

/**
 * States of studies that the store could not take yet, as on a full disk: they are what is said of a study meanwhile, and are
 * written as soon as that can be done.
 */
export class LateStates {
  readonly #options: LateStatesOptions;
  readonly #pending = new Map<StudyId, { readonly ended: Ended; readonly abort: AbortController }>();
  readonly #writing = new Set<Promise<void>>();

  constructor(options: LateStatesOptions) {
    this.#options = options;
  }

  /** Writes a study's state, now or as soon as it can be. Resolves after the first try. */
  async write(id: StudyId, ended: Ended): Promise<void> {
    this.forget(id);
    try {
      await this.#options.store.setStudyState(id, ended.state, ended.reason);
    } catch (thrown) {
      this.#options.onError?.(asHildaError(thrown), id);
      const abort = new AbortController();
      this.#pending.set(id, { ended, abort });
      const writing = this.#tryAgain(id, ended, abort.signal).catch(() => {});
      this.#writing.add(writing);
      void writing.then(() => this.#writing.delete(writing));
    }
  }

  /** The record with the state that is still to be written. */
  known(record: StudyRecord): StudyRecord {
    return { ...record, ...this.#pending.get(record.id)?.ended };
  }

  /** Another state is written in its place. */
  forget(id: StudyId): void {
    this.#pending.get(id)?.abort.abort();
    this.#pending.delete(id);
  }

  /** A daemon that starts again finds such studies as running, and pauses them. */
  async close(): Promise<void> {
    for (const id of [...this.#pending.keys()]) this.forget(id);
    await Promise.all(this.#writing);
  }

  async #tryAgain(id: StudyId, { state, reason }: Ended, signal: AbortSignal): Promise<void> {
    const { store, clock } = this.#options;
    for (let waitMs = firstWaitMs; ; waitMs = Math.min(2 * waitMs, longestWaitMs)) {
      await clock.sleep(waitMs, { signal });
      try {
        await store.setStudyState(id, state, reason);
        break;
      } catch {
        signal.throwIfAborted();
      }
    }
    if (!signal.aborted) this.#pending.delete(id);
  }
}

import type { Clock } from '../core/clock.js';
import { asHildaError, type HildaError } from '../core/errors.js';
import type { StudyId } from '../core/ids.js';
import type { Store, StudyRecord } from '../store/contract.js';
import { LateWrites, mayPass } from '../store/late-writes.js';

type Ended = Pick<StudyRecord, 'state' | 'reason'>;

export interface LateStatesOptions {
  readonly store: Pick<Store, 'setStudyState'>;
  readonly clock: Clock;
  readonly onError?: ((error: HildaError, study: StudyId) => void) | undefined;
}

/** Between two tries. */
const againMs = 5000;

/**
 * States of studies that the store could not take yet, as on a full disk: they are what is said of a study meanwhile, and are
 * written as soon as that can be done.
 */
export class LateStates {
  readonly #options: LateStatesOptions;
  readonly #pending = new Map<StudyId, Ended>();
  readonly #writes: LateWrites;

  constructor(options: LateStatesOptions) {
    this.#options = options;
    // Readers hear of each study's error by `onError`.
    this.#writes = new LateWrites({ clock: options.clock, warn: () => {}, againMs });
  }

  /** Writes a study's state, now or as soon as it can be. Resolves after the first try. */
  async write(id: StudyId, ended: Ended): Promise<void> {
    this.#pending.set(id, ended);
    try {
      await this.#store(id, ended);
    } catch (thrown) {
      const error = asHildaError(thrown);
      this.#options.onError?.(error, id);
      this.#writes.keep(`the state of ${id}`, error, () => this.#storeLate(id, ended));
    }
  }

  /** The record with the state that is still to be written. */
  known(record: StudyRecord): StudyRecord {
    return { ...record, ...this.#pending.get(record.id) };
  }

  /** Another state is written in its place. */
  forget(id: StudyId): void {
    this.#pending.delete(id);
  }

  /** One last try. A daemon that starts again finds the others as running, and pauses them. */
  async close(): Promise<void> {
    await this.#writes.stop();
    this.#pending.clear();
  }

  async #store(id: StudyId, ended: Ended): Promise<void> {
    await this.#options.store.setStudyState(id, ended.state, ended.reason);
    if (this.#pending.get(id) === ended) this.#pending.delete(id);
  }

  async #storeLate(id: StudyId, ended: Ended): Promise<void> {
    if (this.#pending.get(id) !== ended) return;
    try {
      await this.#store(id, ended);
    } catch (thrown) {
      const error = asHildaError(thrown);
      if (!mayPass(error)) this.#options.onError?.(error, id);
      throw error;
    }
  }
}

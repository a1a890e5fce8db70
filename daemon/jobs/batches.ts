import type { Clock } from '../core/clock.js';
import { asHildaError } from '../core/errors.js';
import { mayPass } from '../store/late-writes.js';

/** Where batches follow each other closely, each waits for more items: fewer and larger ones cost less. */
export interface Gathering {
  readonly clock: Clock;
  /** So long an item waits for others, ms. */
  readonly waitMs: number;
  /** So long a patient item waits, ms. */
  readonly patientMs: number;
}

export interface BatchesOptions {
  /** Items of a batch. */
  readonly most: number;
  /** Patient items of a batch, beside those; 100 by default. */
  readonly mostPatient?: number;
  /** Left out, a batch begins as soon as the one before it has ended. */
  readonly gathering?: Gathering | undefined;
}

/** Batches are close where so many began within so many milliseconds. */
const close = { batches: 8, withinMs: 250 };
/** Timers are whole milliseconds. */
const shortestMs = 0.5;

/**
 * Collects what comes while an earlier batch is under way, so that busy times share transactions and idle times wait for
 * nothing. `write` answers in the order of what it was given. Where a batch is refused for good, each item is tried alone: one
 * that cannot be written takes no other with it.
 */
export class Batches<Item, Answer> {
  readonly #write: (items: readonly Item[]) => Promise<readonly Answer[]>;
  readonly #options: BatchesOptions;
  readonly #waiting: Waiting<Item, Answer>[] = [];
  readonly #patient: Waiting<Item, Answer>[] = [];
  /** When the last batches began, us. */
  readonly #begunUs: number[] = [];
  #busy = false;
  #arrival = new AbortController();

  constructor(write: (items: readonly Item[]) => Promise<readonly Answer[]>, options: BatchesOptions) {
    this.#write = write;
    this.#options = options;
  }

  /** `patient`: it shares a batch of others where one comes soon. */
  put(item: Item, { patient = false }: { readonly patient?: boolean } = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const atUs = this.#options.gathering?.clock.monotonicUs() ?? 0;
      (patient ? this.#patient : this.#waiting).push({ item, atUs, resolve, reject });
      this.#arrival.abort();
      if (!this.#busy) void this.#drain();
    });
  }

  async #drain(): Promise<void> {
    const { most, mostPatient = 100, gathering } = this.#options;
    this.#busy = true;
    // Callers in the same turn of the event loop share the first batch.
    await Promise.resolve();
    while (this.#waiting.length + this.#patient.length > 0) {
      if (gathering) await this.#gather(gathering);
      const batch = [...this.#waiting.splice(0, most), ...this.#patient.splice(0, mostPatient)];
      if (await this.#settle(batch)) continue;
      for (const one of batch) await this.#settle([one]);
    }
    this.#busy = false;
  }

  async #gather({ clock, waitMs, patientMs }: Gathering): Promise<void> {
    const { most, mostPatient = 100 } = this.#options;
    const begun = this.#begunUs;
    const [eldest] = begun;
    const isClose =
      begun.length === close.batches && clock.monotonicUs() - (eldest ?? 0) < 1000 * close.withinMs;
    while (isClose && this.#waiting.length < most && this.#patient.length < mostPatient) {
      const [item, patient] = [this.#waiting[0], this.#patient[0]];
      const dueUs = Math.min(
        item ? item.atUs + 1000 * waitMs : Number.POSITIVE_INFINITY,
        patient ? patient.atUs + 1000 * patientMs : Number.POSITIVE_INFINITY,
      );
      const leftMs = (dueUs - clock.monotonicUs()) / 1000;
      if (leftMs < shortestMs) break;
      this.#arrival = new AbortController();
      await clock.sleep(leftMs, { signal: this.#arrival.signal }).catch(() => {});
    }
    begun.push(clock.monotonicUs());
    if (begun.length > close.batches) begun.shift();
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
  readonly atUs: number;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (reason: unknown) => void;
}

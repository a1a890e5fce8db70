import type { DeviceId } from '../core/ids.js';
import type { DeviceRecord } from '../store/contract.js';
import type { Entry } from './entry.js';
import { Line } from './line.js';
import { isMeant } from './selector.js';

/** A device that could take a job now. */
export interface Offer {
  readonly record: DeviceRecord;
  readonly present: boolean;
}

/** Jobs that the same devices may take. */
interface Bucket {
  readonly key: string;
  readonly takes: (offer: Offer) => boolean;
  /** By priority, then by share. */
  readonly lines: Map<number, Map<string, Line>>;
}

export interface ScheduleOptions {
  readonly isPresent: (id: DeviceId) => boolean;
}

/** Device time of a job that nothing is known of yet. */
const guessMs = 1000;

/**
 * The jobs that wait, and which of them a free device takes next: the highest priority; among equals the share that used
 * the least device time; of that the oldest.
 */
export class Schedule {
  readonly #isPresent: ScheduleOptions['isPresent'];
  readonly #buckets = new Map<string, Bucket>();
  /** Keys of buckets that more than one device may take from. */
  readonly #floating = new Set<string>();
  readonly #bucketOf = new Map<Entry, Bucket>();
  /** Device time by share, ms; a share that comes back starts beside the others. */
  readonly #usedMs = new Map<string, number>();
  readonly #meanMs = new Map<string, number>();
  /** What was charged for jobs that run. */
  readonly #guessed = new Map<Entry, number>();
  readonly #waiting = new Map<string, number>();

  constructor({ isPresent }: ScheduleOptions) {
    this.#isPresent = isPresent;
  }

  get size(): number {
    return this.#bucketOf.size;
  }

  entries(): IterableIterator<Entry> {
    return this.#bucketOf.keys();
  }

  add(entry: Entry): void {
    const { share, priority } = entry.record;
    if (!this.#waiting.has(share)) {
      const others = [...this.#waiting.keys()].map((one) => this.#usedMs.get(one) ?? 0);
      const floor = others.length > 0 ? Math.min(...others) : 0;
      this.#usedMs.set(share, Math.max(this.#usedMs.get(share) ?? 0, floor));
    }
    this.#waiting.set(share, (this.#waiting.get(share) ?? 0) + 1);
    const bucket = this.#bucket(entry);
    const lines = bucket.lines.get(priority) ?? new Map<string, Line>();
    bucket.lines.set(priority, lines);
    const line = lines.get(share) ?? new Line();
    lines.set(share, line);
    line.add(entry);
    this.#bucketOf.set(entry, bucket);
  }

  /** Whether it was waiting. */
  remove(entry: Entry): boolean {
    const bucket = this.#bucketOf.get(entry);
    if (!bucket) return false;
    this.#bucketOf.delete(entry);
    const { share, priority } = entry.record;
    const lines = bucket.lines.get(priority);
    lines?.get(share)?.remove(entry);
    if (lines?.get(share)?.size === 0) lines.delete(share);
    if (lines?.size === 0) bucket.lines.delete(priority);
    if (bucket.lines.size === 0) {
      this.#buckets.delete(bucket.key);
      this.#floating.delete(bucket.key);
    }
    const left = (this.#waiting.get(share) ?? 1) - 1;
    if (left > 0) this.#waiting.set(share, left);
    else this.#waiting.delete(share);
    return true;
  }

  /** What one of these devices should do next. They share one place: only one of them runs at a time. */
  best(offers: readonly Offer[]): { readonly entry: Entry; readonly device: DeviceRecord } | undefined {
    let best: { readonly entry: Entry; readonly device: DeviceRecord } | undefined;
    for (const offer of offers) {
      const { id, state } = offer.record;
      const keys = [keyOfDevice(id), ...(state === 'quarantined' ? [] : [keyOfPatient(id)])];
      const buckets = keys.flatMap((key) => this.#buckets.get(key) ?? []);
      for (const key of this.#floating) {
        const bucket = this.#buckets.get(key);
        if (bucket?.takes(offer)) buckets.push(bucket);
      }
      for (const bucket of buckets) {
        const entry = this.#head(bucket);
        if (entry && (!best || this.#goesBefore(entry, best.entry))) best = { entry, device: offer.record };
      }
    }
    return best;
  }

  /** How many of those that wait go before this one on a device that both may take. */
  ahead(entry: Entry): number {
    const key = keyOfLine(this.#bucketOf.get(entry));
    let count = 0;
    for (const [other, bucket] of this.#bucketOf)
      if (other !== entry && keyOfLine(bucket) === key && this.#goesBefore(other, entry)) count++;
    return count;
  }

  /** A job begins; what it will take is guessed by what others of its share took. */
  begin(entry: Entry): void {
    const { share } = entry.record;
    const guess = this.#meanMs.get(share) ?? guessMs;
    this.#guessed.set(entry, guess);
    this.#charge(share, guess);
  }

  /** It did not begin after all. */
  unbegin(entry: Entry): void {
    this.#charge(entry.record.share, -this.#settleGuess(entry));
  }

  /** It took so long. */
  end(entry: Entry, tookMs: number): void {
    const { share } = entry.record;
    this.#charge(share, tookMs - this.#settleGuess(entry));
    this.#meanMs.set(share, 0.8 * (this.#meanMs.get(share) ?? guessMs) + 0.2 * tookMs);
  }

  #settleGuess(entry: Entry): number {
    const guess = this.#guessed.get(entry) ?? 0;
    this.#guessed.delete(entry);
    return guess;
  }

  #charge(share: string, ms: number): void {
    this.#usedMs.set(share, (this.#usedMs.get(share) ?? 0) + ms);
  }

  #head({ lines }: Bucket): Entry | undefined {
    if (lines.size === 0) return undefined;
    const shares = lines.get(Math.max(...lines.keys()));
    let head: Entry | undefined;
    for (const line of shares?.values() ?? []) {
      const first = line.first();
      if (first && (!head || this.#goesBefore(first, head))) head = first;
    }
    return head;
  }

  #goesBefore(a: Entry, b: Entry): boolean {
    if (a.record.priority !== b.record.priority) return a.record.priority > b.record.priority;
    const [usedA, usedB] = [this.#usedMs.get(a.record.share) ?? 0, this.#usedMs.get(b.record.share) ?? 0];
    return a.record.share === b.record.share || usedA === usedB ? a.ordinal < b.ordinal : usedA < usedB;
  }

  #bucket(entry: Entry): Bucket {
    const { named, excluded, job } = entry;
    const left = named?.filter((id) => !excluded.has(id));
    const without = [...excluded].sort().join(' ');
    const patient = entry.waitsForRelease;
    const key =
      left?.length === 1
        ? (patient ? keyOfPatient : keyOfDevice)(left[0] as DeviceId)
        : left
          ? `any ${[...left].sort().join(' ')}${patient ? ' once released' : ''}`
          : `${JSON.stringify(job.devices)} without ${without}`;
    const known = this.#buckets.get(key);
    if (known) return known;
    const bucket: Bucket = {
      key,
      lines: new Map(),
      takes: ({ record, present }) => {
        if (!left) return present && !excluded.has(record.id) && isMeant(job.devices, record);
        if (patient && record.state === 'quarantined') return false;
        // One that is away is tried only where no other is there.
        return left.includes(record.id) && (present || !left.some((id) => this.#isPresent(id)));
      },
    };
    this.#buckets.set(key, bucket);
    if (left?.length !== 1) this.#floating.add(key);
    return bucket;
  }
}

const keyOfDevice = (id: DeviceId): string => `device ${id}`;
/** Of jobs that wait until it is out of quarantine. */
const keyOfPatient = (id: DeviceId): string => `device ${id} once released`;
/** Jobs of one device stand in one line, whether they wait for its release or not. */
const keyOfLine = (bucket: Bucket | undefined): string | undefined =>
  bucket?.key.replace(/ once released$/, '');

import type { Clock } from '../../core/clock.js';

/** What a peer's clocks say at one moment. */
export interface ClockReading {
  /** Milliseconds since 1970 by its clock, which may be wrong and may jump. */
  readonly wallMs: number;
  /** Of a clock that never steps back; only differences mean something. */
  readonly monotonicMs: number;
}

/** The time of something that a peer did, by our clock. */
export interface PlacedTime {
  readonly takenAtMs: number;
  readonly durationMs: number;
  /** For the manifest: how far the figure is to be trusted. */
  readonly mark: {
    /**
     * `agrees`: the peer's own figure; `corrected`: by the offset of its clock; `bounded`: no offset explains its figure, so
     * that it is placed at the end of the time between our asking and its answer.
     */
    readonly basis: 'agrees' | 'corrected' | 'bounded';
    readonly toldMs: number;
    /** The peer's clock minus ours, now. */
    readonly offsetMs: number | null;
    /** Half the round trip by which the offset was taken. */
    readonly uncertaintyMs: number | null;
    /** Steps of the peer's clock that were seen. */
    readonly jumps: number;
    readonly durationToldMs?: number;
  };
}

interface Sample {
  /** The peer's wall clock minus our monotonic one: our own wall clock may jump as well. */
  readonly offsetMs: number;
  readonly uncertaintyMs: number;
}

interface Era {
  /** Peer's wall clock minus its monotonic one; a step of the former ends the era. */
  baseMs: number;
  samples: Sample[];
}

const keptSamples = 8;
const keptEras = 8;
/** Beyond what slewing moves a clock between two readings, 5 s apart at 500 ppm. */
const jumpMs = 100;
/** A first word tells the clock without a round trip; any round trip is better. */
const oneWayUncertaintyMs = 5000;
const leastUncertaintyMs = 20;

/**
 * Estimates how a peer's wall clock stands to ours, from round trips (RFC 5905, section 8): its reading belongs to the middle of
 * one. The shortest of the last few counts. A step of the peer's clock begins a new era; earlier ones are kept for what was
 * done in them.
 */
export class PeerClock {
  readonly #clock: Clock;
  /** The newest last. */
  readonly #eras: Era[] = [];
  readonly #asked = new Map<number, number>();
  #next = 1;
  #jumps = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The first word of a connection, taken a moment ago. The peer may count its monotonic clock from elsewhere now. */
  told(reading: ClockReading): void {
    const era = this.#eras.at(-1);
    if (era) era.baseMs = reading.wallMs - reading.monotonicMs;
    this.#add(reading, this.#nowMs(), oneWayUncertaintyMs);
  }

  /** Begins a round trip; answers with its number. */
  ask(): number {
    const id = this.#next++;
    this.#asked.set(id, this.#nowMs());
    for (const old of this.#asked.keys()) if (this.#asked.size > keptSamples) this.#asked.delete(old);
    return id;
  }

  /** Ends a round trip. One that nobody began is no reading. */
  answered(id: number, reading: ClockReading): void {
    const askedMs = this.#asked.get(id);
    if (askedMs === undefined) return;
    this.#asked.delete(id);
    const nowMs = this.#nowMs();
    this.#add(reading, (askedMs + nowMs) / 2, (nowMs - askedMs) / 2);
  }

  /** The peer's wall clock minus ours, in milliseconds; null before the first reading. */
  offset(): { readonly offsetMs: number; readonly uncertaintyMs: number } | null {
    const era = this.#eras.at(-1);
    if (!era) return null;
    const { offsetMs, uncertaintyMs } = best(era);
    return { offsetMs: offsetMs + this.#nowMs() - this.#clock.nowMs(), uncertaintyMs };
  }

  /** Places what the peer says it began at `toldMs` between our asking, on our monotonic clock, and now. */
  place(toldMs: number, durationMs: number, askedUs: number): PlacedTime {
    const nowMs = this.#nowMs();
    const askedMs = askedUs / 1000;
    const spanMs = Math.max(0, nowMs - askedMs);
    const lastedMs = Math.min(Math.max(0, durationMs), spanMs);
    const offset = this.offset();
    const wallOf = (ms: number): number => this.#clock.nowMs() - (nowMs - ms);
    const rest = {
      toldMs,
      offsetMs: offset && Math.round(offset.offsetMs),
      uncertaintyMs: offset && Math.ceil(offset.uncertaintyMs),
      jumps: this.#jumps,
      ...(lastedMs !== durationMs && { durationToldMs: durationMs }),
    };
    for (const era of [...this.#eras].reverse()) {
      const { offsetMs, uncertaintyMs } = best(era);
      const atMs = toldMs - offsetMs;
      const slackMs = Math.max(uncertaintyMs, leastUncertaintyMs);
      if (atMs < askedMs - slackMs || atMs > nowMs + slackMs) continue;
      const placedMs = wallOf(Math.min(Math.max(atMs, askedMs), nowMs));
      const agrees = Math.abs(placedMs - toldMs) <= slackMs;
      return {
        takenAtMs: agrees ? Math.min(toldMs, this.#clock.nowMs()) : Math.floor(placedMs),
        durationMs: lastedMs,
        mark: { basis: agrees ? 'agrees' : 'corrected', ...rest },
      };
    }
    return {
      takenAtMs: Math.floor(wallOf(Math.max(askedMs, nowMs - lastedMs))),
      durationMs: lastedMs,
      mark: { basis: 'bounded', ...rest },
    };
  }

  /** A time that the peer told, by our clock, and never later than now: of what may have been long before we asked. */
  past(toldMs: number): number {
    const offsetMs = this.offset()?.offsetMs ?? 0;
    return Math.floor(Math.max(0, Math.min(toldMs - offsetMs, this.#clock.nowMs())));
  }

  #add({ wallMs, monotonicMs }: ClockReading, atMs: number, uncertaintyMs: number): void {
    const baseMs = wallMs - monotonicMs;
    const sample = { offsetMs: wallMs - atMs, uncertaintyMs };
    const era = this.#eras.at(-1);
    if (era && Math.abs(baseMs - era.baseMs) <= jumpMs && agree(sample, best(era))) {
      era.baseMs = baseMs;
      era.samples = [...era.samples, sample].slice(-keptSamples);
      return;
    }
    if (era) this.#jumps++;
    this.#eras.push({ baseMs, samples: [sample] });
    if (this.#eras.length > keptEras) this.#eras.shift();
  }

  #nowMs(): number {
    return this.#clock.monotonicUs() / 1000;
  }
}

const agree = (a: Sample, b: Sample): boolean =>
  Math.abs(a.offsetMs - b.offsetMs) <= jumpMs + a.uncertaintyMs + b.uncertaintyMs;

const best = ({ samples }: Era): Sample =>
  samples.reduce((least, sample) => (sample.uncertaintyMs < least.uncertaintyMs ? sample : least));

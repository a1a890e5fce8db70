/** What is known of a line, as people and programs see it. */
export interface LineFacts {
  /** Bytes a second that bulk reached towards the peer; null before any was sent. */
  readonly bytesPerS: number | null;
  /** The shortest time from a piece to its acknowledgement; null before any was sent. */
  readonly roundTripMs: number | null;
}

/** Of a piece on its way: what had arrived when it left. */
export interface Departure {
  readonly atUs: number;
  readonly delivered: number;
  /** As much was on its way as the window allows: the line, and not the sender, was the limit. */
  readonly full: boolean;
}

interface Sample {
  readonly atUs: number;
  readonly value: number;
}

interface RateSample {
  /** On the clock of a line that carries: see `#live`. */
  readonly liveUs: number;
  readonly value: number;
}

interface Start {
  best: number;
  end: number;
  flat: number;
}

/** A small message waits this long behind bulk, besides the line's own delay. */
const queueUs = 150_000;
const pieceUs = 75_000;
const leastPiece = 2048;
const mostPiece = 64 * 1024;
const firstWindow = 16 * 1024;
const mostWindow = 8 * 2 ** 20;
/** Rates count for so long, and at least so many of them. */
const rateLifeUs = 5e6;
const leastSamples = 6;
/** A line that is silent for longer is cut or idle: the rest of that time says nothing of its rate. */
const mostSilenceUs = 1e6;
/** At first the window doubles with each round trip, until the rate grew by less than a quarter in three of them. */
const startGain = 2;
const startGrowth = 1.25;
const flatRounds = 3;
/** The queue's own delay hides the line's: it is drained this often to see the line's again. */
const drainUs = 15e6;

/**
 * The rate and delay of a line by its acknowledgements, and how much may be on its way. `bufferedAmount` and its kind see the
 * sender's buffer alone; kernels and routers hold seconds more. The window is what the line carries in its shortest round
 * trip and `queueUs`. (Delivery rate, least round trip and start as in BBR: N. Cardwell et al., ACM Queue 14 (5), 2016.)
 */
export class LineRate {
  #delivered = 0;
  #rates: RateSample[] = [];
  /** Time in which the line carried something, and when it was last counted. */
  #liveUs = 0;
  #eventUs: number | null = null;
  #least: Sample | null = null;
  /** Until the line's rate is found: the best of earlier rounds, where this one ends, and rounds without growth. */
  #start: Start | null = { best: 0, end: 0, flat: 0 };

  get facts(): LineFacts {
    const rate = this.#rate;
    return {
      bytesPerS: rate === null ? null : Math.round(rate),
      roundTripMs: this.#least && this.#least.value / 1000,
    };
  }

  get windowBytes(): number {
    const rate = this.#rate;
    if (rate === null || !this.#least) return firstWindow;
    const fullUs = this.#least.value + queueUs;
    const windowUs = this.#start ? Math.max(startGain * this.#least.value, fullUs) : fullUs;
    // With whole pieces below it, a window of two small ones would never grow on a line with a long delay.
    const bytes = (rate * windowUs) / 1e6 + (this.#start ? 0 : this.pieceBytes);
    return Math.min(mostWindow, Math.max(2 * this.pieceBytes, bytes));
  }

  get pieceBytes(): number {
    const rate = this.#rate;
    if (rate === null) return leastPiece;
    return Math.round(Math.min(mostPiece, Math.max(leastPiece, (rate * pieceUs) / 1e6)));
  }

  /** Whether the line must be empty before the next piece, since its own delay was not seen for long. */
  mustDrain(nowUs: number): boolean {
    return this.#least !== null && nowUs - this.#least.atUs > drainUs;
  }

  depart(nowUs: number, full: boolean): Departure {
    this.#live(nowUs);
    return { atUs: nowUs, delivered: this.#delivered, full };
  }

  /** The piece was acknowledged; `alone` says that nothing else was on its way when it left. */
  arrive({ atUs, delivered, full }: Departure, bytes: number, nowUs: number, alone: boolean): void {
    this.#delivered += bytes;
    const liveUs = this.#live(nowUs);
    const tookUs = Math.max(1, nowUs - atUs);
    if (!this.#least || tookUs <= this.#least.value || (alone && this.mustDrain(nowUs)))
      this.#least = { atUs: nowUs, value: tookUs };
    const rate = ((this.#delivered - delivered) * 1e6) / tookUs;
    // A sender that had no more to send says nothing against the line.
    if (!full && rate < (this.#rate ?? 0)) return;
    this.#rates.push({ liveUs, value: rate });
    this.#judgeStart(delivered);
    const old = this.#rates.findIndex((sample) => liveUs - sample.liveUs <= rateLifeUs);
    const most = Math.max(0, this.#rates.length - leastSamples);
    this.#rates.splice(0, Math.min(old < 0 ? most : old, most));
  }

  /** A line that broke may come back as another one: its delay is measured anew, its rate stays the first guess. */
  broke(): void {
    this.#least = null;
  }

  /**
   * Counts the time since the last event. A cut counts for a second: what left before it arrives late and tells a low rate, which
   * must not outlive the rates from before it.
   */
  #live(nowUs: number): number {
    this.#liveUs += Math.min(mostSilenceUs, Math.max(0, nowUs - (this.#eventUs ?? nowUs)));
    this.#eventUs = nowUs;
    return this.#liveUs;
  }

  #judgeStart(delivered: number): void {
    const start = this.#start;
    if (!start || delivered < start.end) return;
    start.end = this.#delivered;
    const best = this.#rate ?? 0;
    start.flat = best >= startGrowth * start.best ? 0 : start.flat + 1;
    start.best = Math.max(start.best, best);
    if (start.flat >= flatRounds) this.#start = null;
  }

  get #rate(): number | null {
    return this.#rates.length === 0 ? null : Math.max(...this.#rates.map(({ value }) => value));
  }
}

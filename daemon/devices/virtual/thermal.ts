/** How a virtual device heats up and slows down: a body with one time constant, and a governor above a limit. */
export interface Thermal {
  /** Temperature of a device that rests, degrees Celsius. */
  readonly ambientC: number;
  /** So much warmer it becomes under lasting work. */
  readonly riseC: number;
  /** Minutes in which 63 % of a rise, or of a fall, happen. */
  readonly minutes: number;
  /** Above this temperature it runs slower, */
  readonly limitC: number;
  /** by this share for each degree: 0.01 is 1 %. */
  readonly slowerPerC: number;
}

/** Warms by 20 degrees and never reaches its limit. */
export const coolThermal: Thermal = { ambientC: 25, riseC: 20, minutes: 4, limitC: 70, slowerPerC: 0.01 };

/** The temperature of one device, over time that only moves on. */
export class Body {
  readonly #thermal: Thermal;
  #atMs: number | undefined;
  #celsius: number;

  constructor(thermal: Thermal) {
    this.#thermal = thermal;
    this.#celsius = thermal.ambientC;
  }

  get celsius(): number {
    return this.#celsius;
  }

  /** Times at the present temperature over those of a cool device. */
  get factor(): number {
    const { limitC, slowerPerC } = this.#thermal;
    return 1 + slowerPerC * Math.max(0, this.#celsius - limitC);
  }

  /** Lets it cool since the last work. */
  rest(untilMs: number): void {
    if (this.#atMs !== undefined) this.#towards(this.#thermal.ambientC, untilMs - this.#atMs);
    this.#atMs = Math.max(untilMs, this.#atMs ?? untilMs);
  }

  work(ms: number): void {
    const { ambientC, riseC } = this.#thermal;
    this.#towards(ambientC + riseC, ms);
    if (this.#atMs !== undefined) this.#atMs += ms;
  }

  #towards(goalC: number, ms: number): void {
    if (ms <= 0) return;
    this.#celsius = goalC + (this.#celsius - goalC) * Math.exp(-ms / (this.#thermal.minutes * 60_000));
  }
}

/** A seeded source of randomness whose state is data, so that a stored study resumes with the same draws. */
export interface Rng {
  /** Uniform in [0, 1). */
  next(): number;
  state(): RngState;
}

export type RngState = readonly [number, number, number, number];

/** xoshiro128** 1.1 (Blackman and Vigna, 2021): 128 bits of state, period 2^128 - 1. */
export class Xoshiro128 implements Rng {
  #s: [number, number, number, number];

  constructor(state: RngState) {
    this.#s = [...state];
  }

  /** Expands the seed with splitmix32, so that neighbouring seeds give unrelated streams. */
  static fromSeed(seed: number): Xoshiro128 {
    let z = seed | 0;
    const mix = (): number => {
      z = (z + 0x9e3779b9) | 0;
      let x = z ^ (z >>> 16);
      x = Math.imul(x, 0x21f0aaad);
      x ^= x >>> 15;
      x = Math.imul(x, 0x735a2d97);
      return (x ^ (x >>> 15)) >>> 0;
    };
    return new Xoshiro128([mix(), mix(), mix(), mix()]);
  }

  next(): number {
    // Two 32-bit draws make the 53 bits of a double.
    const high = this.#draw() >>> 5;
    const low = this.#draw() >>> 6;
    return (high * 67108864 + low) / 9007199254740992;
  }

  state(): RngState {
    return [...this.#s];
  }

  #draw(): number {
    const s = this.#s;
    const product = Math.imul(s[1], 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const t = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = (s[3] << 11) | (s[3] >>> 21);
    return result;
  }
}

/** Uniform integer in [0, n). */
export const randomInt = (rng: Rng, n: number): number => Math.floor(rng.next() * n);

/** An index by weights of at least 0, with any sum. */
export function drawIndex(weights: readonly number[], rng: Rng): number {
  let left = rng.next() * weights.reduce((a, b) => a + b, 0);
  for (let i = 0; i < weights.length; i++) {
    left -= weights[i] as number;
    if (left < 0) return i;
  }
  return weights.length - 1;
}

/** One item, uniformly. Throws on an empty list. */
export function pick<T>(rng: Rng, items: readonly T[]): T {
  if (items.length === 0) throw new RangeError('cannot pick from an empty list');
  return items[randomInt(rng, items.length)] as T;
}

/** A new, uniformly shuffled list (Fisher and Yates). */
export function shuffled<T>(rng: Rng, items: readonly T[]): T[] {
  const out = [...items];
  for (let i = out.length - 1; i > 0; i--) {
    const j = randomInt(rng, i + 1);
    [out[i], out[j]] = [out[j] as T, out[i] as T];
  }
  return out;
}

/** A standard normal draw (Box and Muller). */
export function gaussian(rng: Rng): number {
  return Math.sqrt(-2 * Math.log(1 - rng.next())) * Math.cos(2 * Math.PI * rng.next());
}

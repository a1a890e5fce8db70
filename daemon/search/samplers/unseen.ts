import type { Architecture } from '../../core/architecture.js';
import { canonicalJson, type Json } from '../../core/json.js';
import { pick, type Rng } from '../../core/rng.js';
import type { Space } from '../spaces/contract.js';
import type { AskContext } from './contract.js';
import { isListable, listArchitectures } from './list-space.js';

export const architectureKey = (architecture: Architecture): string => canonicalJson(architecture as Json);

const drawsBeforeListing = 100;
const drawsWithoutListing = 2_000;

/** Which architectures of a space were proposed already, and how to find one that was not. */
export class Unseen {
  readonly #space: Space;
  readonly #rng: Rng;
  readonly #seen: Map<string, Architecture>;
  #rest: readonly Architecture[] | undefined;

  constructor({ space, rng, history, pending }: AskContext) {
    this.#space = space;
    this.#rng = rng;
    const spent = [...history.map((trial) => trial.architecture), ...pending];
    this.#seen = new Map(spent.map((architecture) => [architectureKey(architecture), architecture]));
  }

  has(architecture: Architecture): boolean {
    return this.#seen.has(architectureKey(architecture));
  }

  get exhausted(): boolean {
    return this.#seen.size >= this.#space.size;
  }

  /** Marks it as proposed; false when it was already. */
  take(architecture: Architecture): boolean {
    const key = architectureKey(architecture);
    if (this.#seen.has(key)) return false;
    this.#seen.set(key, architecture);
    return true;
  }

  /** Takes a random architecture not seen before; undefined when none is left to be found. */
  takeRandom(): Architecture | undefined {
    if (this.exhausted) return undefined;
    const listable = isListable(this.#space);
    for (let i = 0; i < (listable ? drawsBeforeListing : drawsWithoutListing); i++) {
      // Every other draw of a space that cannot be listed starts from a known architecture: it reaches rare ones.
      const draw =
        listable || i % 2 === 0 || this.#seen.size === 0
          ? this.#space.sample(this.#rng)
          : this.#space.mutate(pick(this.#rng, [...this.#seen.values()]), this.#rng);
      if (this.take(draw)) return draw;
    }
    if (!listable) return undefined;
    this.#rest ??= listArchitectures(this.#space);
    const rest = this.#rest.filter((architecture) => !this.has(architecture));
    this.#rest = rest;
    if (rest.length === 0) return undefined;
    const chosen = pick(this.#rng, rest);
    this.take(chosen);
    return chosen;
  }
}

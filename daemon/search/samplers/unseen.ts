import type { Architecture } from '../../core/architecture.js';
import { canonicalJson, type Json } from '../../core/json.js';
import { pick, type Rng } from '../../core/rng.js';
import type { Space } from '../spaces/contract.js';
import type { AskContext } from './contract.js';

export const architectureKey = (architecture: Architecture): string => canonicalJson(architecture as Json);

/** Above this many raw index vectors a space is never listed: random draws and mutations must do. */
const listableVectors = 200_000;
const drawsBeforeListing = 100;
const drawsWithoutListing = 2_000;

/** Which architectures of a space were proposed already, and how to find one that was not. */
export class Unseen {
  readonly #space: Space;
  readonly #rng: Rng;
  readonly #seen: Map<string, Architecture>;
  #rest: Architecture[] | undefined;

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
    const listable = this.#vectorCount() <= listableVectors;
    for (let i = 0; i < (listable ? drawsBeforeListing : drawsWithoutListing); i++) {
      // Every other draw of a space that cannot be listed starts from a known architecture: it reaches rare ones.
      const draw =
        listable || i % 2 === 0 || this.#seen.size === 0
          ? this.#space.sample(this.#rng)
          : this.#space.mutate(pick(this.#rng, [...this.#seen.values()]), this.#rng);
      if (this.take(draw)) return draw;
    }
    if (!listable) return undefined;
    this.#rest ??= this.#list();
    const rest = this.#rest.filter((architecture) => !this.has(architecture));
    this.#rest = rest;
    if (rest.length === 0) return undefined;
    const chosen = pick(this.#rng, rest);
    this.take(chosen);
    return chosen;
  }

  #vectorCount(): number {
    return (
      this.#space.dims?.reduce((product, dim) => product * dim.choices.length, 1) ?? Number.POSITIVE_INFINITY
    );
  }

  /** Every normal form, in lexical order of the index vectors. */
  #list(): Architecture[] {
    const dims = this.#space.dims ?? [];
    const found = new Map<string, Architecture>();
    const vector = dims.map(() => 0);
    for (let count = this.#vectorCount(); count > 0; count--) {
      const normal = this.#normalForm([...vector]);
      if (normal !== undefined) found.set(architectureKey(normal), normal);
      for (let d = dims.length - 1; d >= 0; d--) {
        vector[d] = ((vector[d] as number) + 1) % (dims[d]?.choices.length ?? 1);
        if (vector[d] !== 0) break;
      }
    }
    return [...found.values()];
  }

  #normalForm(vector: readonly number[]): Architecture | undefined {
    try {
      return this.#space.normalise(vector);
    } catch {
      return undefined; // Some spaces exclude index vectors, e.g. cells without a path to the output.
    }
  }
}

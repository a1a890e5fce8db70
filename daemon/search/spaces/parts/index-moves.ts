import type { Architecture } from '../../../core/architecture.js';
import { HildaError } from '../../../core/errors.js';
import { canonicalJson, type Json } from '../../../core/json.js';
import { type Rng, randomInt } from '../../../core/rng.js';
import type { Dim } from '../contract.js';

/** Index vectors made normal: decisions that another decision switches off hold 0. */
export type Normalise = (indices: readonly number[]) => readonly number[];

export interface IndexMoves {
  sample(rng: Rng): readonly number[];
  mutate(architecture: Architecture, rng: Rng, probability?: number): readonly number[];
  crossover(a: Architecture, b: Architecture, rng: Rng): readonly number[];
  normalise(architecture: Architecture): readonly number[];
}

/** The moves that all spaces of index vectors share. Throws ARCHITECTURE_INVALID for vectors of another space. */
export function indexMoves(spaceId: string, dims: readonly Dim[], normal: Normalise): IndexMoves {
  const normalise = (architecture: Architecture): readonly number[] => {
    const fits =
      Array.isArray(architecture) &&
      architecture.length === dims.length &&
      architecture.every(
        (index, i) => Number.isInteger(index) && index >= 0 && index < (dims[i] as Dim).choices.length,
      );
    if (!fits) {
      throw new HildaError(
        'ARCHITECTURE_INVALID',
        `${canonicalJson(architecture as Json).slice(0, 200)} is no architecture of ${spaceId}`,
        {
          hint: `${spaceId} takes ${dims.length} indices, one for each of: ${dims
            .map((dim) => `${dim.name} (${dim.choices.length})`)
            .join(', ')
            .slice(0, 400)}.`,
        },
      );
    }
    return normal(architecture as readonly number[]);
  };
  const draw = (dim: Dim, rng: Rng): number => randomInt(rng, dim.choices.length);
  const equal = (a: readonly number[], b: readonly number[]): boolean =>
    a.every((index, i) => index === b[i]);

  return {
    normalise,
    sample: (rng) => normal(dims.map((dim) => draw(dim, rng))),
    /** Each decision is redrawn with the given probability (default: one on average), until something changed. */
    mutate(architecture, rng, probability = 1 / dims.length) {
      const from = normalise(architecture);
      if (dims.every((dim) => dim.choices.length === 1)) return from;
      for (;;) {
        const to = normal(
          dims.map((dim, i) => (rng.next() < probability ? draw(dim, rng) : (from[i] as number))),
        );
        if (!equal(from, to)) return to;
        // A switched-off decision changed nothing; a tiny probability would keep us here for long.
        const i = randomInt(rng, dims.length);
        const forced = normal(from.map((index, k) => (k === i ? draw(dims[i] as Dim, rng) : index)));
        if (!equal(from, forced)) return forced;
      }
    },
    /** Uniform crossover: each decision from either parent. */
    crossover: (a, b, rng) => {
      const [left, right] = [normalise(a), normalise(b)];
      return normal(left.map((index, i) => (rng.next() < 0.5 ? index : (right[i] as number))));
    },
  };
}

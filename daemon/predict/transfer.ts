import type { Features, Views } from './contract.js';
import { likePrefix, transferView } from './picker/view-data.js';

/** A predictor of the same metric on another target, over the same views. */
export interface SourceTarget {
  /** What to call it: the target's key or name. */
  readonly name: string;
  predict(samples: readonly Views[]): { readonly mean: Float64Array };
}

/** From so many samples on, a target's own measurements say more than its likeness to others. */
export const transferSamples = 15;

/**
 * Adds the view `transfer`: what known targets would take. A table on it places the new target among them by the few
 * networks measured on both, as a non-negative mixture (in the manner of AutoTransfer's probe vector, Cao et al. 2023,
 * and HELP's few-shot adaptation, Lee et al. 2021). With few samples it is the likeliest view and comes first.
 */
export function withTransfer(
  samples: readonly Views[],
  sources: readonly SourceTarget[],
  measured: number,
): readonly Views[] {
  if (sources.length === 0 || measured >= transferSamples) return samples;
  const answers = sources.map((source) => source.predict(samples).mean);
  return samples.map((views, i) => {
    const transfer: Features = new Map(
      sources.map(({ name }, s) => [`${likePrefix}${name}`, answers[s]?.[i] as number]),
    );
    return { [transferView]: transfer, ...views };
  });
}

/** Adds what a table of this very target says of each network, as a view that is likely from the start. */
export const withTable = (samples: readonly Views[], sums: ArrayLike<number>): readonly Views[] =>
  samples.map((views, i) => ({
    [transferView]: new Map([[`${likePrefix}the table`, sums[i] as number]]),
    ...views,
  }));

import type { LabelledImages } from '../data/labelled/labelled-images.js';
import type { NamedTable } from '../predict/tables/table-formats.js';
import { SessionProcess } from '../runtime/session-process.js';
import type { MbconvFile } from '../search/spaces/mbconv/file.js';
import { mbconvSpace } from '../search/spaces/mbconv/mbconv.js';
import { Batches } from './batches.js';
import { type BlockCosts, blockCosts, meanCost } from './block-costs.js';
import type { GradientSpec } from './gradient-spec.js';
import type { Alphas } from './path-binarisation.js';
import { proxylessSearch } from './proxyless-search.js';
import type { SharedWeights } from './weights/shared-weights.js';

export interface GradientTarget {
  readonly name: string;
  readonly table: NamedTable;
  readonly reference?: number | undefined;
  /** Default: the specification's. */
  readonly loss?: GradientSpec['loss'] | undefined;
}

/** What the search for one target ended with. */
export interface GradientSearch {
  readonly target: string;
  readonly alphas: Alphas;
}

export interface GradientSearches {
  readonly searches: readonly GradientSearch[];
  /** Of every target's table, by target. */
  readonly costs: ReadonlyMap<string, BlockCosts>;
}

interface Options {
  readonly spec: GradientSpec;
  readonly file: MbconvFile;
  readonly weights: SharedWeights;
  readonly images: LabelledImages;
  readonly targets: readonly GradientTarget[];
  readonly threads: number;
  readonly signal: AbortSignal;
  readonly onStep: (step: {
    readonly target: string;
    readonly step: number;
    readonly loss: number;
    readonly cost: number;
    readonly entropy: number;
  }) => void;
}

/**
 * ProxylessNAS's gradient search once for each target's table, on the same weights and images from the same start, so that
 * they differ by the tables alone (Cai, Zhu and Han 2019, table 4). Throws TABLE_INCOMPLETE.
 */
export async function searchByGradient(o: Options): Promise<GradientSearches> {
  const { spec, file, images, targets } = o;
  const space = mbconvSpace(file);
  const costs = new Map<string, BlockCosts>(
    targets.map(({ name, table }) => [name, blockCosts(space, table.table)]),
  );
  const runtime = new SessionProcess({ memoryLimitBytes: null });
  const searches: GradientSearch[] = [];
  try {
    for (const { name, reference, loss = spec.loss } of targets) {
      const table = costs.get(name) as BlockCosts;
      const augmentation = { flip: true, shiftPixels: 0 };
      const { alphas } = await proxylessSearch(
        {
          file,
          weights: o.weights,
          batches: new Batches(images, { size: spec.batch, seed: spec.seed, augmentation }),
          batch: spec.batch,
          classes: file.classes,
          runtime,
          table,
          loss: { ...loss, reference: reference ?? meanCost(table) },
          mode: spec.mode,
          steps: spec.steps,
          rate: spec.rate,
          seed: spec.seed,
          threads: o.threads,
          onStep: ({ step, loss, latency, entropy }) =>
            o.onStep({ target: name, step, loss, cost: latency, entropy }),
        },
        { signal: o.signal },
      );
      searches.push({ target: name, alphas });
    }
  } finally {
    await runtime.stop();
  }
  return { searches, costs };
}

import type { NamedTable } from '../predict/tables/table-formats.js';
import { SessionProcess } from '../runtime/session-process.js';
import { mbconvSpace } from '../search/spaces/mbconv.js';
import type { MbconvFile } from '../search/spaces/mbconv-file.js';
import { Batches } from './batches.js';
import { type BlockCosts, blockCosts, costOf, meanCost } from './block-costs.js';
import type { GradientSpec } from './gradient-spec.js';
import type { LabelledImages } from './idx-images.js';
import { proxylessSearch } from './proxyless-search.js';
import type { SharedWeights } from './weights/shared-weights.js';

export interface GradientTarget {
  readonly name: string;
  readonly table: NamedTable;
  readonly reference?: number | undefined;
  /** Default: the specification's. */
  readonly loss?: GradientSpec['loss'] | undefined;
}

/** A target's winner. */
export interface GradientWinner {
  readonly target: string;
  readonly architecture: readonly number[];
  /** What the winner costs by every target's table, in that table's unit. */
  readonly costs: Readonly<Record<string, number>>;
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
 * the winners differ by the tables alone (Cai, Zhu and Han 2019, table 4). Throws TABLE_INCOMPLETE.
 */
export async function searchByGradient(o: Options): Promise<readonly GradientWinner[]> {
  const { spec, file, images, targets } = o;
  const space = mbconvSpace(file);
  const costs = new Map<string, BlockCosts>(
    targets.map(({ name, table }) => [name, blockCosts(space, table.table)]),
  );
  const runtime = new SessionProcess({ memoryLimitBytes: null });
  const winners: GradientWinner[] = [];
  try {
    for (const { name, reference, loss = spec.loss } of targets) {
      const table = costs.get(name) as BlockCosts;
      const augmentation = { flip: true, shiftPixels: 0 };
      const { architecture } = await proxylessSearch(
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
      winners.push({
        target: name,
        architecture,
        costs: Object.fromEntries([...costs].map(([on, known]) => [on, costOf(known, architecture)])),
      });
    }
  } finally {
    await runtime.stop();
  }
  return winners;
}

import type { Architecture } from '../core/architecture.js';
import { architectureId } from '../core/architecture.js';
import type { Rng } from '../core/rng.js';
import { type ActiveReason, chooseNext } from '../predict/active.js';
import { PickedPredictor } from '../predict/picked.js';
import type { Space } from '../search/spaces/contract.js';
import { costViews } from '../search/spaces/parts/cost-views.js';

/** How a campaign chooses what to measure. */
export const choices = ['random', 'active'] as const;
export type NetworkChoice = (typeof choices)[number];

export interface ChosenNetwork {
  readonly architecture: Architecture;
  /** `random`: before a predictor could tell. */
  readonly reason: ActiveReason | 'random' | 'given' | 'covering';
}

/** What was measured so far: grows while networks are being chosen. */
export interface MeasuredNetwork {
  readonly architecture: unknown;
  readonly value: number;
  /** Standard error of the value's logarithm; 0 where it is left out. */
  readonly deviation?: number | undefined;
}

/** A predictor of fewer samples than these knows too little to choose by. */
const firstSamples = 20;
const batchSize = 10;
/** Random networks of the space among which the next are chosen. */
const poolSize = 400;
const shares = { frontShare: 0.3, auditShare: 0.1, draws: 24 };

/** The last networks of a campaign for a table, of three, each the best of so many random ones. */
const coveringShare = 1 / 3;
const coveringLot = 100;

/**
 * Given ones, else the space's smallest and largest, then random ones; none twice, at most `count`. With `covering` the
 * last third are those of random lots that hold most blocks (as tables key them) that no earlier network held, as long as
 * there are any: a table that lacks a key is refused.
 */
export function* randomNetworks(
  space: Space,
  given: readonly Architecture[],
  count: number,
  rng: Rng,
  { covering = false }: { readonly covering?: boolean } = {},
): Generator<ChosenNetwork> {
  const isNew = newTo(space);
  const seeds = given.length === 0 ? (space.seeds?.() ?? []) : [];
  const blocks = covering ? blocksOf(space) : undefined;
  let left = count;
  const draw = (): ChosenNetwork => {
    const architecture = space.sample(rng);
    if (!blocks || left > count * coveringShare) return { architecture, reason: 'random' };
    const lot = Array.from({ length: coveringLot }, () => space.sample(rng));
    const best = lot.reduce((a, b) => (blocks.newIn(b) > blocks.newIn(a) ? b : a));
    return blocks.newIn(best) > 0
      ? { architecture: best, reason: 'covering' }
      : { architecture, reason: 'random' };
  };
  for (const architecture of [...given, ...seeds])
    if (left > 0 && isNew(architecture)) {
      left--;
      blocks?.hold(architecture);
      yield { architecture, reason: 'given' };
    }
  for (let tries = 0; left > 0 && tries < 100 * count; tries++) {
    const chosen = draw();
    if (!isNew(chosen.architecture)) continue;
    left--;
    blocks?.hold(chosen.architecture);
    yield chosen;
  }
}

/** Which blocks the networks so far hold; in a space without blocks none. */
function blocksOf(space: Space) {
  const held = new Set<string>();
  const keysOf = (a: Architecture): Set<string> => new Set(space.blocks?.(a).map(({ key }) => key));
  return {
    newIn: (a: Architecture): number => [...keysOf(a)].filter((key) => !held.has(key)).length,
    hold(a: Architecture): void {
      for (const key of keysOf(a)) held.add(key);
    },
  };
}

/**
 * The first twenty as `randomNetworks` has them; then, ten at a time, three that are likeliest to lie on the front of
 * predicted cost against multiply-accumulates (which stand in for quality: a campaign has no accuracy), six whose
 * measurement tells most of the rest of the space, and one at random. `measured` is read anew before each ten.
 */
export function* activeNetworks(
  space: Space,
  given: readonly Architecture[],
  count: number,
  rng: Rng,
  measured: readonly MeasuredNetwork[],
): Generator<ChosenNetwork> {
  const isNew = newTo(space);
  let left = count;
  for (const chosen of randomNetworks(space, given, Math.min(count, firstSamples), rng)) {
    isNew(chosen.architecture);
    left--;
    yield chosen;
  }
  while (left > 0) {
    const pool = drawPool(space, rng, isNew);
    if (pool.length === 0) return;
    for (const { index, reason } of chooseBatch(space, pool, measured, Math.min(batchSize, left), rng)) {
      const architecture = pool[index] as Architecture;
      isNew(architecture);
      left--;
      yield { architecture, reason };
    }
  }
}

function chooseBatch(
  space: Space,
  pool: readonly Architecture[],
  measured: readonly MeasuredNetwork[],
  n: number,
  rng: Rng,
): { readonly index: number; readonly reason: ChosenNetwork['reason'] }[] {
  const predictor = new PickedPredictor();
  const known = measured.map(({ architecture }) => architecture as Architecture);
  // So many failed that nothing can be learnt yet: go on at random.
  if (known.length < predictor.minimumSamples)
    return Array.from({ length: Math.min(n, pool.length) }, (_, index) => ({ index, reason: 'random' }));
  predictor.fit(
    known.map((a) => costViews(space, a)),
    measured.map(({ value }) => value),
    measured.map(({ deviation = 0 }) => deviation),
  );
  const views = pool.map((a) => costViews(space, a));
  const { mean, low, high } = predictor.predict(views);
  const macs = (a: Architecture): number => -space.stats(a).macs;
  const candidates = pool.map((a, i) => {
    // Counting builds the network: once each.
    const counted = macs(a);
    return {
      costs: [
        { mean: mean[i] as number, low: low[i] as number, high: high[i] as number },
        { mean: counted, low: counted, high: counted },
      ],
    };
  });
  return chooseNext(
    candidates,
    measured.map(({ value }, i) => [value, macs(known[i] as Architecture)]),
    n,
    rng,
    { ...shares, uncertain: predictor.mostInformative(views, n) },
  );
}

function drawPool(
  space: Space,
  rng: Rng,
  isNew: (a: Architecture, keep: boolean) => boolean,
): Architecture[] {
  const pool = new Map<string, Architecture>();
  for (let tries = 0; pool.size < poolSize && tries < 4 * poolSize; tries++) {
    const architecture = space.sample(rng);
    if (isNew(architecture, false)) pool.set(architectureId(space.id, architecture), architecture);
  }
  return [...pool.values()];
}

/** Whether an architecture was not seen yet; from then on it is, unless only looked at. */
function newTo(space: Space): (architecture: Architecture, keep?: boolean) => boolean {
  const seen = new Set<string>();
  return (architecture, keep = true) => {
    const id = architectureId(space.id, architecture);
    if (seen.has(id)) return false;
    if (keep) seen.add(id);
    return true;
  };
}

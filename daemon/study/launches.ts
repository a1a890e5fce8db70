import type { Clock } from '../core/clock.js';
import type { StudyId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { PredictorRecord, Store } from '../store/contract.js';
import type { StudySpec } from './spec.js';

/** A start or a resumption of a study, and what it read that may change until the next one. */
export interface Launch {
  /** Trials that had been asked. */
  readonly asked: number;
  readonly atMs: number;
  /** Of hilda; null where nobody said. */
  readonly version: string | null;
  /** Those that steer it, and those that these learn from. */
  readonly predictors: readonly PredictorRecord[];
}

const keyOf = (id: StudyId): string => `launches ${id}`;

/** Oldest first; empty for studies that ran under earlier versions alone. */
export const launchesOf = async (id: StudyId, store: Pick<Store, 'value'>): Promise<readonly Launch[]> =>
  ((await store.value(keyOf(id))) ?? []) as unknown as readonly Launch[];

/** Keeps what a study is launched with, for those who replay it. */
export async function noteLaunch(
  id: StudyId,
  spec: StudySpec,
  {
    store,
    clock,
    version,
  }: { readonly store: Store; readonly clock: Clock; readonly version: string | null },
): Promise<void> {
  const earlier = await launchesOf(id, store);
  const launch: Launch = {
    asked: await store.trialCount(id),
    atMs: clock.nowMs(),
    version,
    predictors: await predictorsOf(spec, store),
  };
  // One that asked nothing has the same place as its successor.
  const kept = earlier.filter(({ asked }) => asked < launch.asked);
  await store.setValue(keyOf(id), [...kept, launch] as unknown as Json);
}

async function predictorsOf(spec: StudySpec, store: Store): Promise<PredictorRecord[]> {
  if (spec.predictors.length === 0) return [];
  const all = await store.predictors();
  const named = all.filter(({ id }) => spec.predictors.some((one) => one.predictor === id));
  return all.filter((one) =>
    named.some(({ spaceId, metric }) => one.spaceId === spaceId && one.metric === metric),
  );
}

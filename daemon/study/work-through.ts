import type { DeviceId } from '../core/ids.js';
import type { Store, TrialRecord } from '../store/contract.js';
import type { StudySpec } from './spec.js';

export interface WorkThroughOptions {
  readonly spec: StudySpec;
  readonly store: Store;
  readonly signal: AbortSignal;
  /** Answers whether the trial is held. Its signal aborts as soon as another trial throws. */
  readonly work: (trial: TrialRecord, signal: AbortSignal) => Promise<boolean>;
}

/**
 * Does the work for each trial, several at a time, begun by number. Answers with the trials that are held, by number;
 * throws what the first work threw, after all others have ended.
 */
export async function workThrough(
  trials: readonly TrialRecord[],
  { spec, store, signal, work }: WorkThroughOptions,
): Promise<TrialRecord[]> {
  const queue = [...trials];
  const held: TrialRecord[] = [];
  const stop = new AbortController();
  const both = AbortSignal.any([signal, stop.signal]);
  const worker = async (): Promise<void> => {
    for (let trial = queue.shift(); trial; trial = queue.shift()) {
      both.throwIfAborted();
      if (await work(trial, both)) held.push(trial);
    }
  };
  const records = await Promise.all(spec.devices.map((id) => store.device(id as DeviceId)));
  const workers = Array.from({ length: workersOf(records.map(({ host }) => host)) }, () => worker());
  try {
    await Promise.all(workers);
  } catch (error) {
    stop.abort(error);
    await Promise.allSettled(workers);
    throw error;
  }
  return held.sort((a, b) => a.number - b.number);
}

/**
 * How many trials run at a time: as many as there are devices to keep busy. Those of one host count as one: a board that
 * is emulated beside a network that is timed would void its times.
 */
export function workersOf(hosts: readonly (string | null)[]): number {
  const shared = hosts.filter((host) => host !== null);
  return hosts.length - shared.length + new Set(shared).size;
}

/** The trials of these numbers, with what is known of them now. */
export async function refreshed(trials: readonly TrialRecord[], store: Store): Promise<TrialRecord[]> {
  const [first] = trials;
  if (!first) return [];
  const numbers = new Set(trials.map(({ number }) => number));
  const known = await store.trials(first.studyId, { fromNumber: Math.min(...numbers) });
  return known.filter(({ number }) => numbers.has(number));
}

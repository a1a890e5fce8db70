import type { DeviceId } from '../core/ids.js';
import type { DeviceRecord, Store, TrialRecord } from '../store/contract.js';
import { Crew, type CrewOptions, Lanes } from './crew.js';
import type { StudySpec } from './spec.js';

export interface WorkThroughOptions extends Pick<CrewOptions, 'signal' | 'work'> {
  readonly spec: StudySpec;
  readonly store: Store;
}

/**
 * Does the work for each trial, several at a time, begun by number. Answers with the trials that are held, by number;
 * throws what the first work threw, after all others have ended.
 */
export async function workThrough(
  trials: readonly TrialRecord[],
  { spec, store, signal, work }: WorkThroughOptions,
): Promise<TrialRecord[]> {
  const crew = new Crew({ lanes: await lanesOf(spec, store), signal, work });
  for (const trial of trials) crew.start(trial);
  await crew.ended();
  return crew.takeHeld();
}

/** As many places as there are devices of the study to keep busy. */
export const lanesOf = async (spec: StudySpec, store: Store): Promise<Lanes> =>
  new Lanes(workersOf((await devicesOf(spec, store)).map(({ host }) => host)));

export const devicesOf = (spec: StudySpec, store: Store): Promise<DeviceRecord[]> =>
  Promise.all(spec.devices.map((id) => store.device(id as DeviceId)));

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
  return store.trials(first.studyId, { numbers: trials.map(({ number }) => number) });
}

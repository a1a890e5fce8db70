import type { DeviceId, MeasurementId } from '../core/ids.js';
import type { Verdict } from '../core/measurement.js';
import type { BenchmarkCaseRecord, BenchmarkRunRecord } from '../store/benchmark-contract.js';
import type { Store } from '../store/contract.js';
import type { DrawnUnit } from './draw-units.js';
import { type FaultEndings, Faults } from './faults.js';
import { type FirmwareChange, firmwareChanges, type RaisedAlert } from './firmware-changes.js';
import { type FleetSpec, spanOf } from './spec.js';

/** What came of a simulated fleet. Every figure is of the simulation: nothing was measured. */
export interface FleetOutcome {
  readonly fleet: string;
  readonly seed: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly devices: number;
  /** Firings of each schedule, by how they ended. */
  readonly schedules: readonly {
    readonly name: string;
    readonly firings: Readonly<Record<string, number>>;
  }[];
  /** Measurements that suites asked for, by how they ended; `open` would be lost ones. */
  readonly cases: Readonly<Record<BenchmarkCaseRecord['state'], number>>;
  /** All that were taken, repeated ones too. */
  readonly measurements: Readonly<Record<Verdict, number>>;
  /** Oldest first. */
  readonly alerts: readonly RaisedAlert[];
  readonly firmware: readonly FirmwareChange[];
  readonly faults: readonly FaultEndings[];
  readonly quarantined: readonly { readonly device: string; readonly reason: string | null }[];
  /** Errors that the parts told, by code. */
  readonly troubles: Readonly<Record<string, number>>;
}

const verdicts: readonly Verdict[] = ['valid', 'noisy', 'throttled', 'drifted', 'contended', 'suspect'];
const page = 1000;

export async function outcomeOf(
  store: Store,
  {
    spec,
    units,
    troubles,
  }: {
    readonly spec: FleetSpec;
    readonly units: readonly DrawnUnit[];
    readonly troubles: Readonly<Record<string, number>>;
  },
): Promise<FleetOutcome> {
  const [startMs, endMs] = spanOf(spec);
  const cases = { open: 0, done: 0, failed: 0, cancelled: 0 };
  const faults = new Faults(units, endMs);
  const samples = new Map<string, MeasurementId>();
  for (const run of await runsOf(store)) {
    const all = await store.benchmarkCases(run.id);
    for (const { state, network, measurementId } of all) {
      cases[state]++;
      if (measurementId !== null && !samples.has(network)) samples.set(network, measurementId);
    }
    faults.meet(run, all);
  }
  const names = new Map<string, string>();
  const known = await store.measurementsById([...samples.values()]);
  for (const [network, id] of samples) names.set(known.get(id)?.structureHash ?? '', network);
  const measured: [Verdict, number][] = [];
  for (const verdict of verdicts) measured.push([verdict, await store.measurementCount({ verdict })]);
  const alerts = await alertsOf(store, names);
  const devices = await store.devices();
  return {
    fleet: spec.fleet,
    seed: spec.seed,
    startMs,
    endMs,
    devices: units.length,
    schedules: await Promise.all(
      spec.schedules.map(async ({ name }) => ({ name, firings: await firingsOf(store, name) })),
    ),
    cases,
    measurements: Object.fromEntries(measured) as Record<Verdict, number>,
    alerts,
    firmware: firmwareChanges(units, alerts, [startMs, endMs]),
    faults: faults.endings(),
    quarantined: devices
      .filter(({ state }) => state === 'quarantined')
      .map(({ id, reason }) => ({ device: id, reason })),
    troubles,
  };
}

/** Oldest first. */
async function runsOf(store: Store): Promise<BenchmarkRunRecord[]> {
  const runs: BenchmarkRunRecord[] = [];
  for (;;) {
    const before = runs.at(-1)?.id;
    const some = await store.benchmarkRuns({ limit: page, ...(before !== undefined && { before }) });
    runs.push(...some);
    if (some.length < page) return runs.reverse();
  }
}

/** Of the latest thousand, which the store keeps. */
async function firingsOf(store: Store, name: string): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { outcome } of await store.firings(name, { limit: page }))
    counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
}

async function alertsOf(store: Store, names: ReadonlyMap<string, string>): Promise<RaisedAlert[]> {
  const alerts: RaisedAlert[] = [];
  let before: Parameters<Store['alerts']>[0]['before'];
  for (;;) {
    const some = await store.alerts({ limit: page, ...(before !== undefined && { before }) });
    for (const one of some) {
      if (one.kind !== 'change') continue;
      alerts.push({
        id: one.id,
        device: one.deviceId as DeviceId,
        network: names.get(one.structureHash) ?? one.structureHash.slice(0, 12),
        metric: one.metric,
        ratio: one.ratio,
        ratioCi: one.ratioCi,
        sinceMs: one.sinceMs,
        raisedMs: one.raisedMs,
        hasReturned: one.returnedAt !== null,
        cause: one.cause,
        differences: one.differences,
      });
    }
    if (some.length < page) return alerts.reverse();
    before = some.at(-1)?.id;
  }
}

import type { DeviceId } from '../core/ids.js';
import type { NewAlert } from '../store/alert-contract.js';
import type { DrawnUnit } from './draw-units.js';

/** An alert as an outcome tells it. */
export interface RaisedAlert
  extends Pick<NewAlert, 'metric' | 'ratio' | 'ratioCi' | 'cause' | 'differences'> {
  readonly id: string;
  readonly device: DeviceId;
  /** Its name in a suite. */
  readonly network: string;
  /** When the first measurement of the new level was taken, and when the alert was raised. */
  readonly sinceMs: number;
  readonly raisedMs: number;
  readonly hasReturned: boolean;
}

/** A change of firmware that was put in, and what alerts say of it. */
export interface FirmwareChange {
  readonly version: string;
  readonly atMs: number;
  /** Times after over times before, as it was put in. */
  readonly ratio: number;
  readonly devices: number;
  /** Devices with an alert that names the new version. */
  readonly named: number;
  /** Of these alerts; null without any. */
  readonly medianRatio: number | null;
  readonly medianDaysUntilAlert: number | null;
}

const dayMs = 86_400_000;

/** Each version, moment and ratio once, within the span. */
export function firmwareChanges(
  units: readonly DrawnUnit[],
  alerts: readonly RaisedAlert[],
  [startMs, endMs]: readonly [number, number],
): FirmwareChange[] {
  const changes = new Map<string, Pick<FirmwareChange, 'version' | 'atMs' | 'ratio'> & { on: Set<string> }>();
  for (const { id, firmware } of units) {
    const inOrder = [...firmware].sort((a, b) => a.fromMs - b.fromMs);
    for (const [i, { version, fromMs, factor }] of inOrder.entries()) {
      if (fromMs < startMs || fromMs >= endMs) continue;
      const ratio = factor / (inOrder[i - 1]?.factor ?? 1);
      const key = `${version} ${fromMs} ${ratio}`;
      const known = changes.get(key) ?? { version, atMs: fromMs, ratio, on: new Set<string>() };
      known.on.add(id);
      changes.set(key, known);
    }
  }
  return [...changes.values()].map(({ on, ...change }) => {
    const own = alerts.filter(
      ({ device, raisedMs, differences }) =>
        on.has(device) &&
        raisedMs >= change.atMs &&
        differences.some(({ path, since }) => path === 'firmware' && since === change.version),
    );
    return {
      ...change,
      devices: on.size,
      named: new Set(own.map(({ device }) => device)).size,
      medianRatio: medianOf(own.map(({ ratio }) => ratio)),
      medianDaysUntilAlert: medianOf(own.map(({ raisedMs }) => (raisedMs - change.atMs) / dayMs)),
    };
  });
}

const medianOf = (values: readonly number[]): number | null =>
  [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? null;

import { z } from 'zod';
import type { DeviceId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { Measurement } from '../core/measurement.js';
import { type Target, targetKey } from '../core/target.js';
import { isTimedAlike } from '../measure/assemble.js';
import { type Repeatability, repeatabilitySchema, type SessionValue } from '../measure/repeatability.js';
import { sessionValue } from '../measure/sessions.js';
import type { Store } from '../store/contract.js';

const sessionValueSchema = z.strictObject({
  logUs: z.number(),
  within: z.number().nonnegative(),
  sessions: z.number().int().positive(),
});

/** What is kept of one device under one target: its repeatability, and the latest sessions of each probe network. */
const recordSchema = z.strictObject({
  repeatability: repeatabilitySchema.nullable(),
  probes: z.record(z.string(), z.array(sessionValueSchema)),
  /** The unit of the probes' values: a new calibration begins them anew. */
  calibratedMs: z.number().nullable(),
  /** Levels of the references where nothing disturbs the machine; null before the first session. */
  undisturbed: z
    .strictObject({ convolutionUs: z.number().positive(), transformerUs: z.number().positive() })
    .nullable()
    .default(null),
});
export type RepeatabilityRecord = z.infer<typeof recordSchema>;

const empty: RepeatabilityRecord = { repeatability: null, probes: {}, calibratedMs: null, undisturbed: null };

/** Where a device's repeatability is kept, and where earlier measurements of a network are found. */
export interface RepeatabilityLedger {
  read(): Promise<RepeatabilityRecord>;
  write(record: RepeatabilityRecord): Promise<void>;
  /** Valid measurements of the same network in the same unit, under any protocol. */
  earlier(taken: Measurement): Promise<readonly SessionValue[]>;
}

const keyOf = (id: DeviceId, target: Target): string => `repeatability ${id} ${targetKey(target)}`;

/** As many earlier sessions as can still sharpen their mean. */
const mostEarlier = 8;

export function storeLedger(
  store: Pick<Store, 'value' | 'setValue' | 'measurements'>,
  id: DeviceId,
  target: Target,
): RepeatabilityLedger {
  const key = keyOf(id, target);
  return {
    read: async () => recordSchema.safeParse(await store.value(key)).data ?? empty,
    write: (record) => store.setValue(key, record as unknown as Json),
    earlier: async (taken) => {
      const { structureHash } = taken;
      const rows = await store.measurements({ deviceId: id, structureHash, limit: mostEarlier });
      return rows.filter((row) => comparable(row, taken)).flatMap((row) => sessionValue(row) ?? []);
    },
  };
}

/** What a device's repeatability is under its present target; null before its first repeat. */
export async function repeatabilityOf(
  store: Pick<Store, 'value'>,
  id: DeviceId,
  target: Target,
): Promise<Repeatability | null> {
  return recordSchema.safeParse(await store.value(keyOf(id, target))).data?.repeatability ?? null;
}

/** Rows of versions that knew one part alone, or timed by another rule, do not count. */
const comparable = (row: Measurement, taken: Measurement): boolean =>
  row.latency?.spread !== undefined &&
  row.latency.spread !== null &&
  isTimedAlike(row) &&
  row.weightsHash === taken.weightsHash &&
  targetKey(row.target) === targetKey(taken.target) &&
  calibratedMs(row) === calibratedMs(taken);

/** When the unit of a measurement was taken; null where the device has none. */
export function calibratedMs({ manifest }: Measurement): number | null {
  const { calibration } = manifest;
  const taken =
    typeof calibration === 'object' && calibration !== null && !Array.isArray(calibration)
      ? (calibration as { readonly takenAtMs?: Json }).takenAtMs
      : null;
  return typeof taken === 'number' ? taken : null;
}

/** A record that keeps its probes only as long as their unit holds. */
export const inUnit = (record: RepeatabilityRecord, unit: number | null): RepeatabilityRecord =>
  record.calibratedMs === unit ? record : { ...record, probes: {}, calibratedMs: unit };

/** Adds a probe's session to its latest ones. */
export const withProbe = (
  record: RepeatabilityRecord,
  name: string,
  value: SessionValue,
): RepeatabilityRecord => ({
  ...record,
  probes: { ...record.probes, [name]: [...(record.probes[name] ?? []), value].slice(-mostEarlier) },
});

import { join } from 'node:path';
import { HildaError } from '../core/errors.js';
import { targetKey } from '../core/target.js';
import { loadProtocol } from '../measure/protocols.js';
import type { TableFormat } from '../predict/tables/format-names.js';
import type { DataReading, TableText } from '../reading/contract.js';
import { loadSpace } from '../search/spaces/registry.js';
import type { DeviceRecord, PredictorRecord } from '../store/contract.js';
import { findSpace } from '../study/parts.js';
import { mergeTables, tableForSpace } from './imported-table.js';
import { asJson, type PredictorBody } from './predictor-body.js';

export interface ImportRequest {
  readonly files: readonly TableText[];
  readonly format: TableFormat;
  /** Whose target the table is said to hold for. */
  readonly device: string;
  readonly space: string | { readonly kind: string };
  /** How its networks are measured when it is probed. */
  readonly protocol: string;
}

/**
 * A table that somebody else measured, as a predictor of the device that it is said to hold for. Throws TABLE_INVALID,
 * TABLE_INCOMPLETE, TARGET_MISMATCH, SPACE_INVALID, PROTOCOL_UNKNOWN.
 */
export async function importTable(
  { files, format, space: named, protocol }: ImportRequest,
  device: DeviceRecord,
  { profilesDir, reading }: { readonly profilesDir: string; readonly reading: DataReading },
): Promise<Omit<PredictorRecord, 'id' | 'createdMs' | 'updatedMs'>> {
  const file = typeof named === 'string' ? findSpace(named, profilesDir) : named;
  const space = loadSpace(file);
  loadProtocol(protocol, join(profilesDir, 'protocols'));
  const given = mergeTables(
    await reading.tables(files, format),
    files.map(({ name }) => name),
  );
  if (given.target !== null && given.target !== targetKey(device.target)) {
    throw new HildaError(
      'TARGET_MISMATCH',
      `${given.source} holds for ${given.target}, and ${device.id} is ${targetKey(device.target)}`,
    );
  }
  const body: PredictorBody = {
    version: 1,
    space: file as PredictorBody['space'],
    provenance: 'imported',
    protocol,
    seed: 1,
    samples: [],
    table: tableForSpace(given, space),
    live: [],
  };
  return {
    deviceId: device.id,
    target: device.target,
    spaceId: space.id,
    metric: given.unit === 'us' ? 'latencyUs' : given.unit,
    body: asJson(body),
  };
}

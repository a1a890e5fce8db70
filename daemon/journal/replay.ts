import type { Clock } from '../core/clock.js';
import { HildaError } from '../core/errors.js';
import type { PureParts } from '../plugins/pure-parts.js';
import type { SamplerPlugin } from '../search/samplers/plugin.js';
import type { Store } from '../store/contract.js';
import { openStore } from '../store/open-store.js';
import type { Journal } from './contract.js';
import type { Difference } from './difference.js';

export interface ReplayOptions {
  /** A folder for the replayed rows, or `:memory:`. */
  readonly dataDir: string;
  /** Of the jobs and the rows; the loop has a clock of its own. */
  readonly clock: Clock;
  readonly profilesDir: string;
  /** Of this hilda. */
  readonly version: string;
  /** Replays what another version of hilda recorded, too. */
  readonly anyVersion?: boolean;
  readonly signal: AbortSignal;
  /** Samplers beside those of hilda: of plug-ins. */
  readonly samplers?: readonly SamplerPlugin[];
  readonly pure?: PureParts;
}

/** What a replay came to. */
export interface Replayed {
  /** Null: all that was compared is the same to the last bit. */
  readonly difference: Difference | null;
  /** Trials or cases that were compared. */
  readonly compared: number;
  /** Measurements that were compared. */
  readonly measurements: number;
}

/** Throws JOURNAL_MISMATCH where the journal is of another version of hilda, or ran under one. */
export function requireVersion({ header }: Journal, { version, anyVersion = false }: ReplayOptions): void {
  const others = [header.version, ...header.versions].filter((one) => one !== version);
  const [other] = others;
  if (other === undefined || anyVersion) return;
  throw new HildaError('JOURNAL_MISMATCH', `the journal is of hilda ${other}, and this is hilda ${version}`, {
    hint: 'Install that version, or replay with --any-version: differences may then be the versions’ own.',
    details: { recorded: others, here: version },
  });
}

/** A fresh store that knows the journal's devices, all adopted. */
export async function replayStore(journal: Journal, { dataDir, clock }: ReplayOptions): Promise<Store> {
  const store = await openStore({ dataDir, clock });
  try {
    if ((await store.devices()).length > 0 || (await store.studies()).length > 0)
      throw new HildaError('STATE_CONFLICT', `${dataDir} holds data already`, {
        hint: 'Name a new folder.',
      });
    for (const device of journal.devices) {
      await store.upsertDevice(device);
      await store.setDeviceState(device.id, 'adopted');
    }
    return store;
  } catch (error) {
    await store.close();
    throw error;
  }
}

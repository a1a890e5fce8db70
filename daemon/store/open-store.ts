import type { Clock } from '../core/clock.js';
import { alertStore } from './alerts.js';
import { benchmarkStore } from './benchmarks.js';
import { campaignStore } from './campaigns.js';
import type { Store } from './contract.js';
import { Database } from './database.js';
import { deviceStore } from './devices.js';
import { eventStore } from './events.js';
import { jobTurnStore } from './job-turns.js';
import { jobStore } from './jobs.js';
import { leaseStore } from './leases.js';
import { measurementStore } from './measurements.js';
import { predictorStore } from './predictors.js';
import { presenceStore } from './presence.js';
import { retentionStore } from './retention.js';
import { rolloutStore } from './rollouts.js';
import { scheduleStore } from './schedules.js';
import { specialisationStore } from './specialisations.js';
import { openSqlite, type SqliteOptions } from './sqlite-engine.js';
import { studyStore } from './studies.js';
import { toldResultStore } from './told-results.js';
import { trialColumnStore } from './trial-columns.js';
import { trialStore } from './trials.js';
import { valueStore } from './values.js';
import { webhookStore } from './webhooks.js';

export interface StoreOptions extends SqliteOptions {
  readonly clock: Clock;
}

/**
 * Opens the store of a data folder, or one in memory with `dataDir: ':memory:'`. Throws STORE_BUSY while another
 * daemon has it, STORE_CORRUPT and STORE_NEWER without having touched the file, DISK_FULL, and USAGE_INVALID for a
 * folder that cannot be written to.
 */
export async function openStore({ clock, ...options }: StoreOptions): Promise<Store> {
  const database = new Database(await openSqlite(options), clock);
  return {
    ...deviceStore(database),
    ...leaseStore(database),
    ...presenceStore(database),
    ...measurementStore(database),
    ...jobStore(database),
    ...jobTurnStore(database),
    ...campaignStore(database),
    ...alertStore(database),
    ...benchmarkStore(database),
    ...webhookStore(database),
    ...scheduleStore(database),
    ...rolloutStore(database),
    ...studyStore(database),
    ...trialStore(database),
    ...trialColumnStore(database),
    ...toldResultStore(database),
    ...specialisationStore(database),
    ...predictorStore(database),
    ...eventStore(database),
    ...valueStore(database),
    ...retentionStore(database),
    close: () => database.close(),
  };
}

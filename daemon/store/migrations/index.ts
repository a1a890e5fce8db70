import type { Knex } from 'knex';
import { createTriggers, dropTriggers } from '../triggers.js';
import * as first from './0001-first.js';
import * as counts from './0002-counts.js';
import * as predictors from './0003-predictors.js';
import * as deviceLifecycle from './0004-device-lifecycle.js';
import * as deviceHost from './0005-device-host.js';
import * as specialisations from './0006-specialisations.js';
import * as finals from './0007-finals.js';
import * as evidence from './0008-evidence.js';
import * as toldResults from './0009-told-results.js';
import * as jobs from './0010-jobs.js';
import * as trialChunks from './0011-trial-chunks.js';
import * as campaigns from './0012-campaigns.js';
import * as alerts from './0013-alerts.js';
import * as benchmarks from './0014-benchmarks.js';
import * as webhooks from './0015-webhooks.js';
import * as health from './0016-health.js';
import * as rollouts from './0017-rollouts.js';
import * as heard from './0018-heard.js';
import * as measurementSeries from './0019-measurement-series.js';

interface NamedMigration {
  readonly name: string;
  readonly up: (db: Knex) => Promise<void>;
}

/** In order. A released migration is never changed; a later one corrects it. */
const migrations: readonly NamedMigration[] = [
  { name: '0001-first', up: first.up },
  { name: '0002-counts', up: counts.up },
  { name: '0003-predictors', up: predictors.up },
  { name: '0004-device-lifecycle', up: deviceLifecycle.up },
  { name: '0005-device-host', up: deviceHost.up },
  { name: '0006-specialisations', up: specialisations.up },
  { name: '0007-finals', up: finals.up },
  { name: '0008-evidence', up: evidence.up },
  { name: '0009-told-results', up: toldResults.up },
  { name: '0010-jobs', up: jobs.up },
  { name: '0011-trial-chunks', up: trialChunks.up },
  { name: '0012-campaigns', up: campaigns.up },
  { name: '0013-alerts', up: alerts.up },
  { name: '0014-benchmarks', up: benchmarks.up },
  { name: '0015-webhooks', up: webhooks.up },
  { name: '0016-health', up: health.up },
  { name: '0017-rollouts', up: rollouts.up },
  { name: '0018-heard', up: heard.up },
  { name: '0019-measurement-series', up: measurementSeries.up },
];

export const migrationsTable = 'schema_migrations';
export const knownMigrations: ReadonlySet<string> = new Set(migrations.map(({ name }) => name));

const source: Knex.MigrationSource<NamedMigration> = {
  getMigrations: async () => [...migrations],
  getMigrationName: ({ name }) => name,
  getMigration: async ({ up }) => ({
    up,
    down: async () => {
      throw new Error('migrations go forward only');
    },
  }),
};

/**
 * Brings the schema up to date; `onPending` hears first of the migrations that are to run, where there are any. The caller holds
 * the store alone, so a lock left by a killed process is void.
 */
export async function migrate(db: Knex, onPending?: (names: readonly string[]) => void): Promise<void> {
  const config: Knex.MigratorConfig = { migrationSource: source, tableName: migrationsTable };
  if (await db.schema.hasTable(`${migrationsTable}_lock`)) await db.migrate.forceFreeMigrationsLock(config);
  const [, pending] = (await db.migrate.list(config)) as [unknown, readonly NamedMigration[]];
  if (pending.length > 0) {
    onPending?.(pending.map(({ name }) => name));
    await dropTriggers(db);
  }
  await db.migrate.latest(config);
  await createTriggers(db);
}

import type { Knex } from 'knex';
import { sealChunks } from '../trial-chunks.js';

/** The figures of told trials as columns, so that lists, fronts and charts read no trial; and indexes that were missing. */
export async function up(db: Knex): Promise<void> {
  await db.schema.createTable('trial_chunks', (table) => {
    table.string('study_id').notNullable().references('id').inTable('studies');
    table.integer('chunk').notNullable();
    /** Counted by study: what a reader does not know yet is above what it knows. */
    table.integer('revision').notNullable();
    table.binary('body').notNullable();
    table.primary(['study_id', 'chunk']);
    table.index(['study_id', 'revision']);
  });
  await db.schema.alterTable('trials', (table) => {
    table.index(['study_id', 'architecture_id']);
    table.index(['study_id', 'state']);
  });
  const ids: readonly string[] = await db('studies').orderBy('ordinal').pluck('id');
  for (const id of ids) await sealChunks(db, id);
}

import type { Knex } from 'knex';

/** What a trial's qualities rest on; earlier trials do not say. Answers lie apart: they are long and seldom read. */
export async function up(db: Knex): Promise<void> {
  await db.schema.alterTable('trials', (table) => {
    table.text('evidence').notNullable().defaultTo('{}');
    table.text('answers').notNullable().defaultTo('{}');
  });
}

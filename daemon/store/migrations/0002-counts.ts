import type { Knex } from 'knex';

/** Boards count instead of timing; measurements from before have none. */
export async function up(db: Knex): Promise<void> {
  await db.schema.alterTable('measurements', (table) => {
    table.text('counts').notNullable().defaultTo('null');
  });
}

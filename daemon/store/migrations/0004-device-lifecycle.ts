import type { Knex } from 'knex';

/** Tags, and the reason of a device's state. */
export async function up(db: Knex): Promise<void> {
  await db.schema.alterTable('devices', (table) => {
    table.text('tags').notNullable().defaultTo('[]');
    table.text('state_reason');
  });
}

import type { Knex } from 'knex';

/**
 * Finds the series of a network on a device: of a device with many networks, or a network on many devices, all rows were read.
 */
export async function up(db: Knex): Promise<void> {
  await db.schema.alterTable('measurements', (table) => {
    table.index(['device_id', 'structure_hash', 'ordinal']);
  });
}

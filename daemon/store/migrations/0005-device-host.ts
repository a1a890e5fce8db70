import type { Knex } from 'knex';

/** Which machine's processors a device computes on. Those of the daemon's own were told by their kind until now. */
export async function up(db: Knex): Promise<void> {
  await db.schema.alterTable('devices', (table) => {
    table.text('host');
  });
  await db('devices').whereIn('kind', ['onnxruntime', 'emulator']).update({ host: 'local' });
}

import type { Knex } from 'knex';

/** Changes of series that people should look at, and what they do not want to hear of. */
export async function up(db: Knex): Promise<void> {
  await db('counters').insert([
    { name: 'alerts', value: 0 },
    { name: 'alert_mutes', value: 0 },
  ]);
  // What was measured before raises no alert: those who looked after it saw it.
  const measured = await db('counters')
    .where({ name: 'measurements' })
    .first<{ value: number } | undefined>('value');
  await db('key_values').insert({ key: 'alerts.watchedUpTo', value: String(measured?.value ?? 0) });
  await db.schema.createTable('alerts', (table) => {
    table.bigInteger('ordinal').primary();
    table.string('series').notNullable();
    table.string('device_id').notNullable();
    table.string('structure_hash').notNullable();
    table.string('metric').notNullable();
    // Ordinals of measurements, so that ranges compare.
    table.bigInteger('since').notNullable();
    table.bigInteger('between_first').notNullable();
    table.bigInteger('between_last').notNullable();
    table.bigInteger('found_at').notNullable();
    table.bigInteger('returned_at');
    table.bigInteger('since_ms').notNullable();
    table.double('ratio').notNullable();
    table.double('ratio_low').notNullable();
    table.double('ratio_high').notNullable();
    table.string('cause').notNullable();
    table.text('differences').notNullable();
    table.bigInteger('raised_ms').notNullable();
    table.boolean('muted').notNullable();
    table.text('acknowledged');
    table.index(['series', 'metric', 'since']);
    table.index(['device_id', 'ordinal']);
  });
  await db.schema.createTable('alert_mutes', (table) => {
    table.bigInteger('ordinal').primary();
    // Null: any.
    table.string('device_id');
    table.string('structure_hash');
    table.string('metric');
    table.bigInteger('until_ms');
    table.text('note').notNullable();
    table.string('by').notNullable();
    table.bigInteger('created_ms').notNullable();
  });
}

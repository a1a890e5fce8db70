import type { Knex } from 'knex';

/** The body is what the predictor was fitted to; the model is fitted again from it when it is needed. */
export async function up(db: Knex): Promise<void> {
  await db('counters').insert({ name: 'predictors', value: 0 });
  await db.schema.createTable('predictors', (table) => {
    table.bigInteger('ordinal').primary();
    table.string('id').notNullable().unique();
    table.string('device_id').notNullable().references('id').inTable('devices');
    table.text('target').notNullable();
    table.string('space_id').notNullable();
    table.string('metric').notNullable();
    table.text('body').notNullable();
    table.bigInteger('created_ms').notNullable();
    table.bigInteger('updated_ms').notNullable();
  });
}

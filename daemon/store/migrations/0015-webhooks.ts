import type { Knex } from 'knex';

/** Addresses that hear of alerts, and what they have not heard yet. */
export async function up(db: Knex): Promise<void> {
  await db('counters').insert([
    { name: 'webhooks', value: 0 },
    { name: 'deliveries', value: 0 },
  ]);
  await db.schema.createTable('webhooks', (table) => {
    table.bigInteger('ordinal').primary();
    table.text('url').notNullable();
    table.string('secret').notNullable();
    table.string('by').notNullable();
    table.bigInteger('created_ms').notNullable();
    // Null: it is sent to.
    table.text('disabled');
  });
  await db.schema.createTable('deliveries', (table) => {
    table.bigInteger('ordinal').primary();
    table.bigInteger('webhook').notNullable();
    table.string('kind').notNullable();
    table.text('body').notNullable();
    table.integer('attempt').notNullable();
    table.string('state').notNullable();
    table.bigInteger('next_ms').notNullable();
    table.text('error');
    table.bigInteger('created_ms').notNullable();
    table.bigInteger('ended_ms');
    table.index(['state', 'webhook', 'ordinal']);
    table.index(['webhook', 'ordinal']);
  });
}

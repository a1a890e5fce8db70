import type { Knex } from 'knex';

/** Several jobs with one purpose: what was asked, how far it is, and what came of it. */
export async function up(db: Knex): Promise<void> {
  await db('counters').insert({ name: 'campaigns', value: 0 });
  await db.schema.createTable('campaigns', (table) => {
    table.bigInteger('ordinal').primary();
    table.string('kind').notNullable();
    table.text('request').notNullable();
    table.string('state').notNullable();
    table.integer('done').notNullable();
    table.integer('of').notNullable();
    table.text('progress');
    table.text('result');
    table.text('error');
    table.bigInteger('created_ms').notNullable();
    table.bigInteger('ended_ms');
    table.index(['state', 'ordinal']);
  });
}

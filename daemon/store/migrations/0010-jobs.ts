import type { Knex } from 'knex';

/** Device work that waits, runs or ended. Ended jobs are forgotten in time: what they yielded has tables of its own. */
export async function up(db: Knex): Promise<void> {
  await db('counters').insert({ name: 'jobs', value: 0 });
  await db.schema.createTable('jobs', (table) => {
    table.bigInteger('ordinal').primary();
    table.text('work').notNullable();
    table.text('network');
    table.text('inputs');
    table.text('devices').notNullable();
    table.integer('priority').notNullable();
    table.string('share').notNullable();
    table.text('owner').notNullable();
    table.boolean('attached').notNullable();
    table.bigInteger('run_at_ms');
    table.bigInteger('deadline_ms');
    table.string('state').notNullable();
    table.integer('attempt').notNullable();
    table.integer('max_attempts').notNullable();
    table.string('device_id');
    table.bigInteger('token');
    table.string('idempotency_key');
    table.string('request_hash');
    table.text('result');
    table.text('error');
    table.bigInteger('created_ms').notNullable();
    table.bigInteger('started_ms');
    table.bigInteger('ended_ms');
    table.index(['state', 'ordinal']);
  });
  await db.raw("CREATE UNIQUE INDEX jobs_running ON jobs (device_id) WHERE state = 'running'");
  await db.raw(
    'CREATE UNIQUE INDEX jobs_idempotency ON jobs (idempotency_key) WHERE idempotency_key IS NOT NULL',
  );
}

import type { Knex } from 'knex';

/** Runs of benchmark suites, case by case; what they are held against; what happens at fixed times. */
export async function up(db: Knex): Promise<void> {
  // A run is a campaign of the kind `benchmark`: the row says of which suite.
  await db.schema.createTable('benchmark_runs', (table) => {
    table.bigInteger('ordinal').primary();
    table.string('suite').notNullable();
    table.string('spec_hash').notNullable();
    table.index(['suite', 'ordinal']);
  });
  await db.schema.createTable('benchmark_cases', (table) => {
    table.bigInteger('run').notNullable();
    table.integer('number').notNullable();
    table.string('network').notNullable();
    table.string('place').notNullable();
    table.integer('repetition').notNullable();
    table.text('asked').notNullable();
    table.string('state').notNullable();
    table.string('job_id');
    table.string('device_id');
    table.string('measurement_id');
    table.text('error');
    table.bigInteger('ended_ms');
    table.primary(['run', 'number']);
  });
  await db.schema.createTable('benchmark_baselines', (table) => {
    table.string('suite').primary();
    table.bigInteger('run').notNullable();
    table.bigInteger('set_ms').notNullable();
  });
  await db('counters').insert({ name: 'schedules', value: 0 });
  await db.schema.createTable('schedules', (table) => {
    table.bigInteger('ordinal').primary();
    table.string('name').notNullable().unique();
    table.string('kind').notNullable();
    table.text('body').notNullable();
    table.string('state').notNullable();
    table.bigInteger('next_ms');
    table.bigInteger('created_ms').notNullable();
  });
  // One row a firing, so that each happens once.
  await db.schema.createTable('schedule_firings', (table) => {
    table.bigInteger('schedule').notNullable();
    table.bigInteger('planned_ms').notNullable();
    table.bigInteger('at_ms').notNullable();
    table.string('outcome').notNullable();
    table.text('detail');
    table.primary(['schedule', 'planned_ms']);
  });
}

import type { Knex } from 'knex';

/** Networks that go to many devices in waves; what runs on each device; every change of it. */
export async function up(db: Knex): Promise<void> {
  await db('counters').insert([
    { name: 'rollouts', value: 0 },
    { name: 'device_changes', value: 0 },
  ]);
  await db.schema.createTable('rollouts', (table) => {
    table.bigInteger('ordinal').primary();
    table.string('name').notNullable();
    table.integer('version').notNullable();
    table.string('state').notNullable();
    table.text('request').notNullable();
    table.integer('wave').notNullable();
    table.bigInteger('wait_until_ms');
    table.integer('forgiven').notNullable();
    table.boolean('keep').notNullable();
    table.text('reason');
    table.bigInteger('created_ms').notNullable();
    table.bigInteger('ended_ms');
    table.index(['state', 'ordinal']);
    table.index(['name', 'version']);
  });
  await db.schema.createTable('rollout_devices', (table) => {
    table.bigInteger('rollout').notNullable();
    table.string('device_id').notNullable();
    table.integer('place').notNullable();
    table.integer('wave').notNullable();
    table.string('step').notNullable();
    table.integer('attempt').notNullable();
    table.bigInteger('since_ms').notNullable();
    table.text('reason');
    table.text('body').notNullable();
    table.primary(['rollout', 'device_id']);
    table.index(['device_id', 'rollout']);
  });
  await db.schema.createTable('device_running', (table) => {
    table.string('device_id').primary();
    table.string('name').notNullable();
    table.integer('version');
    table.bigInteger('rollout');
    table.bigInteger('since_ms').notNullable();
    table.text('body').notNullable();
  });
  await db.schema.createTable('device_changes', (table) => {
    table.bigInteger('ordinal').primary();
    table.string('device_id').notNullable();
    table.bigInteger('rollout');
    table.bigInteger('at_ms').notNullable();
    table.string('step').notNullable();
    table.string('name').notNullable();
    table.integer('version');
    table.text('reason');
    table.index(['device_id', 'ordinal']);
    table.index(['rollout', 'ordinal']);
  });
}

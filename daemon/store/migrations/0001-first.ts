import type { Knex } from 'knex';

/** Times are integer milliseconds, JSON is text: alike on every engine. */
export async function up(db: Knex): Promise<void> {
  // Counted in the row, not by the engine's own sequences: those leave gaps after a rollback.
  await db.schema.createTable('counters', (table) => {
    table.string('name').primary();
    table.bigInteger('value').notNullable();
  });
  await db('counters').insert(['events', 'studies', 'measurements'].map((name) => ({ name, value: 0 })));

  await db.schema.createTable('devices', (table) => {
    table.string('id').primary();
    table.string('kind').notNullable();
    table.text('label').notNullable();
    table.text('target').notNullable();
    table.string('state').notNullable();
    table.bigInteger('first_seen_ms').notNullable();
    table.bigInteger('last_seen_ms').notNullable();
    /** Outlives the leases, so that a token is never given twice. */
    table.bigInteger('last_token').notNullable().defaultTo(0);
  });

  // A row is a live lease: freeing deletes it, and the primary key allows one a device.
  await db.schema.createTable('leases', (table) => {
    table.string('device_id').primary().references('id').inTable('devices');
    table.string('holder').notNullable();
    table.bigInteger('token').notNullable();
    table.bigInteger('expires_ms').notNullable();
  });

  await db.schema.createTable('studies', (table) => {
    table.bigInteger('ordinal').primary();
    table.string('id').notNullable().unique();
    table.text('name').notNullable();
    table.text('spec').notNullable();
    table.string('state').notNullable();
    table.text('reason');
    table.bigInteger('created_ms').notNullable();
    table.bigInteger('updated_ms').notNullable();
    table.text('sampler').notNullable();
    table.text('rng').notNullable();
  });

  await db.schema.createTable('trials', (table) => {
    table.string('study_id').notNullable().references('id').inTable('studies');
    table.integer('number').notNullable();
    table.string('architecture_id').notNullable();
    table.text('architecture').notNullable();
    table.text('note').notNullable();
    table.string('state').notNullable();
    table.boolean('told').notNullable();
    table.text('metric_values').notNullable();
    table.text('predicted').notNullable();
    table.text('measurements').notNullable();
    table.text('reason');
    table.bigInteger('asked_ms').notNullable();
    table.bigInteger('finished_ms');
    table.primary(['study_id', 'number']);
  });

  await db.schema.createTable('measurements', (table) => {
    table.bigInteger('ordinal').primary();
    table.string('id').notNullable().unique();
    table.string('device_id').notNullable().references('id').inTable('devices');
    table.string('study_id').references('id').inTable('studies');
    table.integer('trial_number');
    table.text('target').notNullable();
    table.string('provenance').notNullable();
    table.string('protocol').notNullable();
    table.string('structure_hash').notNullable();
    table.string('weights_hash').notNullable();
    table.text('latency').notNullable();
    table.text('memory').notNullable();
    table.string('verdict').notNullable();
    table.text('reason').notNullable();
    table.text('manifest').notNullable();
    table.binary('rounds').notNullable();
    table.bigInteger('taken_at_ms').notNullable();
    table.double('duration_ms').notNullable();
    table.index(['device_id', 'ordinal']);
    table.index(['study_id', 'ordinal']);
    table.index(['structure_hash', 'ordinal']);
  });

  await db.schema.createTable('events', (table) => {
    table.bigInteger('seq').primary();
    table.string('topic').notNullable();
    table.bigInteger('at_ms').notNullable();
    table.text('data').notNullable();
  });

  await db.schema.createTable('key_values', (table) => {
    table.string('key').primary();
    table.text('value').notNullable();
  });
}

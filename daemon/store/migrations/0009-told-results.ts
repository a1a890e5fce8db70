import type { Knex } from 'knex';

/** What programs outside say of trials: results, and values on the way to them. Steps are many and seldom read. */
export async function up(db: Knex): Promise<void> {
  await db.schema.alterTable('trials', (table) => {
    table.text('told_result').nullable();
  });
  await db.schema.createTable('trial_steps', (table) => {
    table.text('study_id').notNullable();
    table.integer('number').notNullable();
    table.integer('step').notNullable();
    table.double('value').notNullable();
    table.primary(['study_id', 'number', 'step']);
  });
}

import type { Knex } from 'knex';

/** What was heard of a trial, or of a case of a run, while it was worked on. Null in rows of earlier versions. */
export async function up(db: Knex): Promise<void> {
  for (const name of ['trials', 'benchmark_cases'])
    await db.schema.alterTable(name, (table) => {
      table.text('heard').nullable();
    });
}

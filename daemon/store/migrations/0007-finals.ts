import type { Knex } from 'knex';

/** What was measured on every device were the searches' winners; now more than those, and the winners are chosen among them. */
export async function up(db: Knex): Promise<void> {
  await db('studies').where({ part_role: 'winners' }).update({ part_role: 'finals' });
}

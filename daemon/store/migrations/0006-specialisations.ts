import type { Knex } from 'knex';

/** As they stood among the values by key until now; each column knew its two studies. */
interface Earlier {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly reason: string | null;
  readonly createdMs: number;
  readonly slack: number;
  readonly protocol: string | null;
  readonly columns: readonly { readonly deviceId: string; readonly winners: string | null }[];
}

const key = 'specialisations';

/** Rows of their own. A study says which part of one it is, so that starting it and noting it are one write. */
export async function up(db: Knex): Promise<void> {
  await db.schema.createTable('specialisations', (table) => {
    table.bigInteger('ordinal').primary();
    table.string('id').notNullable().unique();
    table.text('name').notNullable();
    table.string('state').notNullable();
    table.text('reason');
    table.text('body').notNullable();
    table.bigInteger('created_ms').notNullable();
  });
  await db.schema.alterTable('studies', (table) => {
    table.string('specialisation_id');
    table.string('part_device_id');
    table.string('part_role');
    table.unique(['specialisation_id', 'part_device_id', 'part_role']);
  });

  const stored: { readonly value: string } | undefined = await db('key_values').where({ key }).first();
  const earlier = stored ? (JSON.parse(stored.value) as Earlier[]) : [];
  for (const [i, { id, name, state, reason, createdMs, columns, ...asked }] of earlier.entries()) {
    // Its searches stay named there: some were given by the user, and serve several.
    const body = JSON.stringify({ ...asked, columns: columns.map(({ winners: _, ...column }) => column) });
    await db(key).insert({ ordinal: i + 1, id, name, state, reason, body, created_ms: createdMs });
    for (const { deviceId, winners } of columns)
      if (winners !== null)
        await db('studies')
          .where({ id: winners })
          .update({ specialisation_id: id, part_device_id: deviceId, part_role: 'winners' });
  }
  await db('key_values').where({ key }).delete();
  await db('counters').insert({ name: key, value: earlier.length });
}

import type { Knex } from 'knex';

/** Why and since when a device is in quarantine, when devices were seen, and alerts of other kinds than changes. */
export async function up(db: Knex): Promise<void> {
  await db.schema.alterTable('devices', (table) => {
    table.text('quarantine');
  });
  // Earlier versions set devices aside by one rule, and wrote its sentence.
  const quarantined = await db('devices').where({ state: 'quarantined' }).select('id', 'state_reason');
  for (const { id, state_reason } of quarantined) {
    const by = /^failed \d+ times in a row, then a reference network/.test(state_reason ?? '')
      ? 'failures'
      : 'hand';
    await db('devices')
      .where({ id })
      .update({ quarantine: JSON.stringify({ by, sinceMs: null, passed: 0 }) });
  }
  // Spans of time in which a device was seen; the empty id stands for the daemon that looked.
  await db.schema.createTable('presence_spans', (table) => {
    table.string('device_id').notNullable();
    table.bigInteger('from_ms').notNullable();
    table.bigInteger('until_ms').notNullable();
    table.boolean('open').notNullable();
    table.primary(['device_id', 'from_ms']);
    table.index(['until_ms']);
  });
  await db.raw('CREATE INDEX presence_spans_open ON presence_spans (device_id) WHERE open = 1');
  await db.schema.renameTable('alerts', 'alerts_before');
  await db.schema.createTable('alerts', (table) => {
    table.bigInteger('ordinal').primary();
    table.string('kind').notNullable();
    table.string('device_id');
    table.bigInteger('raised_ms').notNullable();
    table.boolean('muted').notNullable();
    table.text('acknowledged');
    // Of changes.
    table.string('series');
    table.string('structure_hash');
    table.string('metric');
    table.bigInteger('since');
    table.bigInteger('between_first');
    table.bigInteger('between_last');
    table.bigInteger('found_at');
    table.bigInteger('returned_at');
    table.bigInteger('since_ms');
    table.double('ratio');
    table.double('ratio_low');
    table.double('ratio_high');
    table.string('cause');
    table.text('differences');
    // Of notices.
    table.string('subject');
    table.text('text');
    table.text('detail');
    table.bigInteger('resolved_ms');
  });
  const kept = [
    'ordinal',
    'device_id',
    'raised_ms',
    'muted',
    'acknowledged',
    'series',
    'structure_hash',
    'metric',
    'since',
    'between_first',
    'between_last',
    'found_at',
    'returned_at',
    'since_ms',
    'ratio',
    'ratio_low',
    'ratio_high',
    'cause',
    'differences',
  ].join(', ');
  await db.raw(`INSERT INTO alerts (kind, ${kept}) SELECT 'change', ${kept} FROM alerts_before`);
  await db.schema.dropTable('alerts_before');
  await db.schema.alterTable('alerts', (table) => {
    table.index(['series', 'metric', 'since']);
    table.index(['device_id', 'ordinal']);
    table.index(['kind', 'subject', 'ordinal']);
  });
}

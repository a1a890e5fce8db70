import type { Knex } from 'knex';

interface Trigger {
  readonly name: string;
  readonly when: string;
  readonly does: string;
}

/** Tables of which each turn of a job writes rows, with their numbers: their counters follow the rows. */
const counted = [
  ['events', 'seq'],
  ['jobs', 'ordinal'],
  ['measurements', 'ordinal'],
].map(
  ([table, column]): Trigger => ({
    name: `${table}_counted`,
    when: `AFTER INSERT ON ${table}`,
    does: `UPDATE counters SET value = NEW.${column} WHERE name = '${table}' AND value < NEW.${column}`,
  }),
);

/** A device's last token follows its lease: the token outlives the lease, and is never given twice. */
const tokens = [
  ['granted', 'AFTER INSERT ON leases'],
  ['passed_on', 'AFTER UPDATE OF token ON leases'],
].map(
  ([name, when]): Trigger => ({
    name: `leases_${name}`,
    when: when as string,
    does: 'UPDATE devices SET last_token = NEW.token WHERE id = NEW.device_id AND last_token < NEW.token',
  }),
);

const triggers = [...counted, ...tokens];

/** Makes those that are missing. */
export async function createTriggers(db: Knex): Promise<void> {
  for (const { name, when, does } of triggers)
    await db.raw(`CREATE TRIGGER IF NOT EXISTS ${name} ${when} BEGIN ${does}; END`);
}

/** A migration may make a table anew: a trigger that names it would stand in the way, or be lost with it. */
export async function dropTriggers(db: Knex): Promise<void> {
  for (const { name } of triggers) await db.raw(`DROP TRIGGER IF EXISTS ${name}`);
}

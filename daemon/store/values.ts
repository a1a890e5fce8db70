import type { Store } from './contract.js';
import type { Database } from './database.js';
import { selectAll } from './jobs.js';
import { fromJsonText, toJsonText } from './json-columns.js';

export function valueStore(database: Database): Pick<Store, 'setValue' | 'value' | 'values'> {
  return {
    setValue: (key, value) =>
      database.write(async ({ db }) => {
        await db('key_values')
          .insert({ key, value: toJsonText(value) })
          .onConflict('key')
          .merge();
      }),

    value: async (key) => {
      const row = await database.read((db) =>
        db<{ key: string; value: string }>('key_values').where({ key }).first(),
      );
      return row && fromJsonText(row.value, `the value ${key}`);
    },

    values: async (keys) => {
      const rows = await selectAll<{ key: string; value: string }>(keys, (some) =>
        database.read((db) => db('key_values').whereIn('key', some)),
      );
      return new Map(rows.map(({ key, value }) => [key, fromJsonText(value, `the value ${key}`)]));
    },
  };
}

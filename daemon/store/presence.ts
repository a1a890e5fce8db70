import type { Database } from './database.js';
import type { PresenceStore } from './presence-contract.js';

/** The daemon's own watch. */
const watcher = '';
/** Values in one statement. */
const atOnce = 200;

export function presenceStore(database: Database): PresenceStore {
  return {
    beginWatch: (keepFromMs) =>
      database.write(async ({ db, nowMs }) => {
        await db('presence_spans').where({ open: true }).update({ open: false });
        await db('presence_spans').where('until_ms', '<', keepFromMs).delete();
        await db('presence_spans')
          .insert({ device_id: watcher, from_ms: nowMs, until_ms: nowMs, open: true })
          .onConflict(['device_id', 'from_ms'])
          .merge();
      }),

    notePresent: (devices) =>
      database.write(async ({ db, nowMs }) => {
        const open = await db('presence_spans').where({ open: true }).pluck<string[]>('device_id');
        // A clock that was set back shortens no span.
        await db('presence_spans')
          .where({ open: true })
          .where('until_ms', '<', nowMs)
          .update({ until_ms: nowMs });
        const here = new Set<string>([watcher, ...devices]);
        const gone = open.filter((id) => !here.has(id));
        for (let i = 0; i < gone.length; i += atOnce)
          await db('presence_spans')
            .where({ open: true })
            .whereIn('device_id', gone.slice(i, i + atOnce))
            .update({ open: false });
        const known = new Set(open);
        const rows = [...here]
          .filter((id) => !known.has(id))
          .map((id) => ({ device_id: id, from_ms: nowMs, until_ms: nowMs, open: true }));
        for (let i = 0; i < rows.length; i += atOnce)
          await db('presence_spans')
            .insert(rows.slice(i, i + atOnce))
            .onConflict(['device_id', 'from_ms'])
            .merge();
      }),

    spans: async (device, sinceMs) => {
      const rows = await database.read<{ from_ms: number; until_ms: number }[]>((db) =>
        db('presence_spans')
          .where({ device_id: device ?? watcher })
          .where('until_ms', '>', sinceMs)
          .orderBy('from_ms')
          .select('from_ms', 'until_ms'),
      );
      return rows.map(({ from_ms, until_ms }) => ({ fromMs: from_ms, untilMs: until_ms }));
    },
  };
}

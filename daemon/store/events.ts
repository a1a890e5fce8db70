import type { Store, StoredEvent } from './contract.js';
import type { Database } from './database.js';
import { fromJsonText } from './json-columns.js';

interface EventRow {
  readonly seq: number;
  readonly topic: string;
  readonly at_ms: number;
  readonly data: string;
}

const defaultLimit = 1000;

export function eventStore(
  database: Database,
): Pick<Store, 'publish' | 'publishAll' | 'events' | 'lastSeq' | 'onEvents'> {
  return {
    publish: (topic, data) => database.write(({ publish }) => publish(topic, data)),

    publishAll: (events) => database.write(({ publishAll }) => publishAll(events)),

    events: async (sinceSeq, { topics, limit = defaultLimit } = {}) => {
      if (topics?.length === 0) return [];
      const rows = await database.read<EventRow[]>((db) => {
        const query = db<EventRow>('events').where('seq', '>', sinceSeq).orderBy('seq').limit(limit);
        if (topics) {
          query.andWhere((any) => {
            for (const topic of topics) {
              const prefix = topic.endsWith('.*') ? topic.slice(0, -1) : undefined;
              // Not LIKE: a topic may hold its wildcards, and its case rules differ between engines.
              if (prefix !== undefined) any.orWhereRaw('substr(topic, 1, ?) = ?', [prefix.length, prefix]);
              else any.orWhere({ topic });
            }
          });
        }
        return query as unknown as PromiseLike<EventRow[]>;
      });
      return rows.map(toEvent);
    },

    lastSeq: async () => {
      const row = await database.read((db) =>
        db<{ name: string; value: number }>('counters').where({ name: 'events' }).first(),
      );
      return row?.value ?? 0;
    },

    onEvents: (listener) => database.onEvents(listener),
  };
}

const toEvent = ({ seq, topic, at_ms, data }: EventRow): StoredEvent => ({
  seq,
  topic,
  atMs: at_ms,
  data: fromJsonText(data, `event ${seq}`),
});

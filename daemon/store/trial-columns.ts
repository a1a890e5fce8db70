import type { StudyId } from '../core/ids.js';
import type { Store, TrialColumns } from './contract.js';
import type { Database } from './database.js';
import { unpackColumns } from './pack-columns.js';
import { chunkTrials, columnsOf, readRows } from './trial-chunks.js';

/** Trials of which chunks are kept in memory, over all studies: 8 bytes a metric and trial. */
const keptTrials = 500_000;

interface ChunkRow {
  readonly chunk: number;
  readonly revision: number;
  readonly body: Uint8Array;
}

/** Of one study, as far as they were read. */
interface Known {
  readonly revision: number;
  readonly chunks: readonly TrialColumns[];
}

export function trialColumnStore(database: Database): Pick<Store, 'trialColumns'> {
  // The study that was asked for last is the last.
  const kept = new Map<StudyId, Known>();

  const keep = (id: StudyId, known: Known): void => {
    kept.delete(id);
    kept.set(id, known);
    let trials = 0;
    for (const [one, { chunks }] of [...kept].reverse()) {
      trials += chunks.length * chunkTrials;
      if (trials > keptTrials && one !== id) kept.delete(one);
    }
  };

  /** Reads the chunks that are not known yet, or not as they are now. */
  const read = async (id: StudyId): Promise<readonly TrialColumns[]> => {
    const known = kept.get(id) ?? { revision: 0, chunks: [] };
    const rows = await database.read<ChunkRow[]>((db) =>
      db('trial_chunks')
        .select('chunk', 'revision', 'body')
        .where({ study_id: id })
        .andWhere('revision', '>', known.revision)
        .orderBy('chunk'),
    );
    if (rows.length === 0) return known.chunks;
    const chunks = [...known.chunks];
    for (const { chunk, body } of rows)
      chunks[chunk] = {
        from: chunk * chunkTrials,
        ...unpackColumns(body, `chunk ${chunk} of the trials of ${id}`),
      };
    keep(id, { revision: Math.max(...rows.map(({ revision }) => revision)), chunks });
    return chunks;
  };

  // Requests at the same time share one read, and so what they are given.
  const reading = new Map<StudyId, Promise<readonly TrialColumns[]>>();
  const sealed = (id: StudyId): Promise<readonly TrialColumns[]> => {
    const running = reading.get(id) ?? read(id).finally(() => reading.delete(id));
    reading.set(id, running);
    return running;
  };

  return {
    trialColumns: async (id) => {
      const chunks = await sealed(id);
      // What is sealed meanwhile is read with the open ones: it is behind the chunks that were read.
      const open = await database.read((db) => readRows(db, id, chunks.length * chunkTrials));
      return open.length > 0 ? [...chunks, columnsOf(open, id)] : chunks;
    },
  };
}

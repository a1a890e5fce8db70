import type { StudyId } from '../core/ids.js';
import type { Store, TrialColumns, TrialSeal, TrialsSince } from './contract.js';
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

export function trialColumnStore(database: Database): Pick<Store, 'trialColumns' | 'trialsSince'> {
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

  const newRows = (id: StudyId, revision: number): Promise<ChunkRow[]> =>
    database.read<ChunkRow[]>((db) =>
      db('trial_chunks')
        .select('chunk', 'revision', 'body')
        .where({ study_id: id })
        .andWhere('revision', '>', revision)
        .orderBy('chunk'),
    );

  /** Reads the chunks that are not known yet, or not as they are now. */
  const read = async (id: StudyId): Promise<Known> => {
    const known = kept.get(id) ?? { revision: 0, chunks: [] };
    const rows = await newRows(id, known.revision);
    if (rows.length === 0) return known;
    const chunks = [...known.chunks];
    for (const row of rows) chunks[row.chunk] = columnsIn(row, id);
    const now = { revision: newest(rows), chunks };
    keep(id, now);
    return now;
  };

  // Requests at the same time share one read, and so what they are given.
  const reading = new Map<StudyId, Promise<Known>>();
  const sealed = (id: StudyId): Promise<Known> => {
    const running = reading.get(id) ?? read(id).finally(() => reading.delete(id));
    reading.set(id, running);
    return running;
  };

  /** What is sealed meanwhile is read with the open ones: it is behind the chunks that were read. */
  const openOf = async (id: StudyId, chunks: number): Promise<TrialColumns | null> => {
    const open = await database.read((db) => readRows(db, id, chunks * chunkTrials));
    return open.length > 0 ? columnsOf(open, id) : null;
  };

  /** Undefined where a piece before the seal was revised. */
  const beyond = async (id: StudyId, seal: TrialSeal): Promise<TrialsSince | undefined> => {
    const rows = await newRows(id, seal.revision);
    if (rows.some(({ chunk }) => chunk < seal.pieces)) return undefined;
    const pieces = seal.pieces + rows.length;
    return {
      seal: rows.length > 0 ? { pieces, revision: newest(rows) } : seal,
      sealed: rows.map((row) => columnsIn(row, id)),
      isWhole: false,
      open: await openOf(id, pieces),
    };
  };

  return {
    trialColumns: async (id) => {
      const { chunks } = await sealed(id);
      const open = await openOf(id, chunks.length);
      return open ? [...chunks, open] : chunks;
    },

    trialsSince: async (id, seal) => {
      const since = seal && (await beyond(id, seal));
      if (since) return since;
      const { chunks, revision } = await sealed(id);
      return {
        seal: { pieces: chunks.length, revision },
        sealed: chunks,
        isWhole: true,
        open: await openOf(id, chunks.length),
      };
    },
  };
}

const newest = (rows: readonly ChunkRow[]): number => Math.max(...rows.map(({ revision }) => revision));

const columnsIn = ({ chunk, body }: ChunkRow, id: StudyId): TrialColumns => ({
  from: chunk * chunkTrials,
  ...unpackColumns(body, `chunk ${chunk} of the trials of ${id}`),
});

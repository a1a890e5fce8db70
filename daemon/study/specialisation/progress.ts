import type { DeviceId, StudyId } from '../../core/ids.js';
import type { SpecialisationRecord, Store, StudyState } from '../../store/contract.js';
import type { Fronts } from '../front.js';
import { type ChosenWinner, cellOf, chooseWinners, standingOf } from './matrix.js';
import {
  type ColumnPlan,
  type MatrixCell,
  type MatrixRow,
  planSchema,
  type Specialisation,
  type SpecialisationPlan,
  type SpecialisationSummary,
} from './shapes.js';

/** A column with the studies that it has by now. */
export interface Column extends ColumnPlan {
  readonly winners: StudyId | null;
}

export interface Progress extends Omit<SpecialisationPlan, 'columns'> {
  readonly columns: readonly Column[];
}

/** What the studies of a specialisation are read from. */
export interface ProgressSources {
  readonly store: Store;
  readonly studies: { fronts(id: StudyId): Promise<Fronts> };
}

/** What was asked, and which studies are there for it: they say themselves whose they are. */
export async function progressOf(
  { id, body }: SpecialisationRecord,
  store: Pick<Store, 'studiesOf'>,
): Promise<Progress> {
  const { columns, ...asked } = planSchema.parse(body);
  const own = await store.studiesOf(id);
  const study = (role: 'search' | 'winners', deviceId: DeviceId): StudyId | null =>
    own.find((one) => one.role === role && one.deviceId === deviceId)?.id ?? null;
  return {
    ...asked,
    columns: columns.map((column) => ({
      ...column,
      search: column.search ?? study('search', column.deviceId),
      winners: study('winners', column.deviceId),
    })),
  };
}

export async function summaryOf(
  record: SpecialisationRecord,
  store: Pick<Store, 'studiesOf'>,
): Promise<SpecialisationSummary> {
  return summarise(record, await progressOf(record, store));
}

/** With its matrix, once all searches have ended. */
export async function specialisationOf(
  record: SpecialisationRecord,
  sources: ProgressSources,
): Promise<Specialisation> {
  const { store } = sources;
  const progress = await progressOf(record, store);
  const summary = summarise(record, progress);
  const states = await Promise.all(
    progress.columns.map(async ({ search }) => search && (await store.study(search)).state),
  );
  if (!states.every((state) => state !== null && hasEnded(state)))
    return { ...summary, level: null, rows: [] };
  const { level, winners } = await winnersOf(progress, sources);
  const measured = await Promise.all(
    progress.columns.map(async (column) => ({ column, cells: await cellsOf(column, winners, store) })),
  );
  const rows = winners.map(
    ({ deviceId, study, row }, i): Omit<MatrixRow, 'standing' | 'replacedBy'> => ({
      deviceId,
      study,
      trialNumber: row.trialNumber,
      architectureId: row.architectureId,
      accuracy: row.values.accuracy as number,
      cells: Object.fromEntries(
        measured.map(({ column, cells }) => [column.deviceId, cells[i] as MatrixCell]),
      ) as MatrixRow['cells'],
    }),
  );
  return { ...summary, level, rows: rows.map((row) => ({ ...row, ...standingOf(row, rows, level) })) };
}

export const hasEnded = (state: StudyState): boolean => state === 'completed' || state === 'stopped';

/** Of searches that have ended. Throws SPACE_INFEASIBLE. */
export async function winnersOf({ columns, slack }: Progress, { studies }: ProgressSources) {
  const fronts = columns.map(async ({ deviceId, search, speed }) => {
    const study = search as StudyId;
    return { deviceId, study, speed, front: (await studies.fronts(study)).front };
  });
  return chooseWinners(await Promise.all(fronts), slack);
}

/** One a winner. */
async function cellsOf(
  { winners, speed }: Column,
  chosen: readonly ChosenWinner[],
  store: Store,
): Promise<MatrixCell[]> {
  const trials = winners === null ? [] : await store.trials(winners);
  return Promise.all(
    chosen.map(async ({ row: { architectureId } }) => {
      const trial = trials.find((one) => one.architectureId === architectureId);
      const [measurement] = Object.values(trial?.measurements ?? {});
      return cellOf(trial, measurement && (await store.measurement(measurement)), speed);
    }),
  );
}

function summarise(
  { id, name, state, reason, createdMs }: SpecialisationRecord,
  { columns, ...asked }: Progress,
): SpecialisationSummary {
  return {
    id,
    name,
    state,
    reason,
    createdMs,
    ...asked,
    columns: columns.map(({ spec: _, host: __, ...column }) => column),
  };
}

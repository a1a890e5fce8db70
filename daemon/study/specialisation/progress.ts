import type { DeviceId, StudyId } from '../../core/ids.js';
import type { SpecialisationRecord, Store, StudyPart, StudyState } from '../../store/contract.js';
import type { Fronts } from '../front-rows.js';
import { chooseFinalists, type Finalist, type Finalists } from './finalists.js';
import { cellOf, type Finals, matrixRows } from './matrix.js';
import {
  type ColumnPlan,
  type MatrixCell,
  planSchema,
  type Specialisation,
  type SpecialisationPlan,
  type SpecialisationSummary,
} from './shapes.js';

/** A column with the studies that it has by now. */
export interface Column extends ColumnPlan {
  readonly finals: StudyId | null;
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
  const study = (role: StudyPart['role'], deviceId: DeviceId): StudyId | null =>
    own.find((one) => one.role === role && one.deviceId === deviceId)?.id ?? null;
  return {
    ...asked,
    columns: columns.map((column) => ({
      ...column,
      search: column.search ?? study('search', column.deviceId),
      finals: study('finals', column.deviceId),
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
    return { ...summary, level: null, distinctFinalists: null, rows: [] };
  const found = await finalistsOf(progress, sources);
  const finals = await Promise.all(
    progress.columns.map((column) => finalsOf(column, found.finalists, store)),
  );
  return {
    ...summary,
    level: found.level,
    distinctFinalists: found.finalists.length,
    rows: matrixRows(found, finals),
  };
}

export const hasEnded = (state: StudyState): boolean => state === 'completed' || state === 'stopped';

/** Of searches that have ended. Throws SPACE_INFEASIBLE. */
export async function finalistsOf(
  { columns, slack, finalists }: Progress,
  { studies }: ProgressSources,
): Promise<Finalists> {
  const fronts = columns.map(async ({ deviceId, search, speed }) => {
    const study = search as StudyId;
    return { deviceId, study, speed, front: (await studies.fronts(study)).front };
  });
  return chooseFinalists(await Promise.all(fronts), { slack, most: finalists });
}

async function finalsOf(
  { deviceId, finals, speed }: Column,
  finalists: readonly Finalist[],
  store: Store,
): Promise<Finals> {
  // Before the trials, so that finals that have ended are seen whole.
  const haveEnded = finals !== null && hasEnded((await store.study(finals)).state);
  const trials = finals === null ? [] : await store.trials(finals);
  const cells = finalists.map(async ({ architectureId }): Promise<MatrixCell> => {
    const trial = trials.find((one) => one.architectureId === architectureId);
    const [measurement] = Object.values(trial?.measurements ?? {});
    return cellOf(trial, measurement && (await store.measurement(measurement)), speed);
  });
  return { deviceId, haveEnded, cells: await Promise.all(cells) };
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

import { type ErrorDocument, fromErrorDocument } from '../core/errors.js';
import type { JobId, MeasurementId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { Jobs } from '../jobs/jobs.js';
import { formatSelector, type Selector } from '../jobs/selector.js';
import type { JobRecord, Store } from '../store/contract.js';
import type { JobView } from './job-schemas.js';
import { toProblem } from './problem.js';
import { viewMeasurement } from './views.js';

interface Sources {
  readonly store: Pick<Store, 'measurement'>;
  readonly jobs: Pick<Jobs, 'whyWaiting'>;
}

/** Jobs as the API shows them, with why they wait. */
export async function viewJobs(records: readonly JobRecord[], sources: Sources): Promise<JobView[]> {
  const queued = records.filter(({ state }) => state === 'queued').map(({ id }) => id);
  const why = await sources.jobs.whyWaiting(queued);
  return Promise.all(records.map((record) => view(record, why, sources)));
}

export async function viewJob(record: JobRecord, sources: Sources): Promise<JobView> {
  return (await viewJobs([record], sources))[0] as JobView;
}

async function view(
  record: JobRecord,
  why: ReadonlyMap<JobId, string>,
  { store }: Sources,
): Promise<JobView> {
  const { id, state, deviceId, priority, share, attempt, maxAttempts } = record;
  const { createdMs, startedMs, endedMs, deadlineMs, result, error } = record;
  const measured = (result as { readonly measurementId?: MeasurementId } | null)?.measurementId;
  return {
    id,
    state,
    work: (record.work as { readonly kind: string }).kind,
    devices: formatSelector(record.devices as unknown as Selector),
    deviceId,
    priority,
    share,
    attempt,
    maxAttempts,
    waitsFor: state === 'queued' ? (why.get(id) ?? null) : null,
    createdMs,
    startedMs,
    endedMs,
    deadlineMs,
    measurement: measured === undefined ? null : viewMeasurement(await store.measurement(measured)),
    result: (measured === undefined ? result : null) as JobView['result'] & Json,
    problem: error === null ? null : toProblem(fromErrorDocument(error as unknown as ErrorDocument)),
  };
}

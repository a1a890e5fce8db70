import type { JobId } from '../core/ids.js';
import type { JobRecord, Store } from '../store/contract.js';
import { canOutlive } from './entry.js';
import { endedBy } from './new-job.js';

/** A job during which the daemon ended so often is to blame for it. */
const mostLost = 3;

/** Frees the leases that a former daemon of this owner left behind; answers with the jobs that go on, oldest first. */
export async function takeUpJobs(store: Store, owner: string): Promise<JobRecord[]> {
  await store.expireLeases(owner);
  await store.requeueLostJobs();
  const left: JobId[] = [];
  const lost: JobId[] = [];
  const goOn: JobRecord[] = [];
  for (const record of await store.queuedJobs()) {
    if (!canOutlive(record)) left.push(record.id);
    else if (record.attempt >= record.maxAttempts + mostLost) lost.push(record.id);
    else goOn.push(record);
  }
  if (left.length > 0) await store.closeJobs(left, 'cancelled', endedBy.leaving);
  if (lost.length > 0) await store.closeJobs(lost, 'failed', endedBy.daemon);
  return goOn;
}

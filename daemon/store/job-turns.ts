import type { Database } from './database.js';
import { claimAll } from './job-claims.js';
import type { JobStore } from './job-contract.js';
import { endAll } from './job-ends.js';
import { submitAll } from './job-submissions.js';

/** The turns of jobs: lease, job, result and events of many devices in a few statements. */
export function jobTurnStore(database: Database): Pick<JobStore, 'turnJobs' | 'renewLeases'> {
  return {
    turnJobs: ({ ends = [], claims = [], jobs = [] }, ttlMs) =>
      database.write(
        async (write) => {
          const claimedNext = new Set(claims.map(({ deviceId }) => deviceId));
          const { ended, held, events: ofEnds } = await endAll(write, ends, claimedNext);
          const { claimed, events: ofClaims } = await claimAll(write, claims, { ttlMs, held });
          const { submitted, events: ofJobs } = await submitAll(write, jobs);
          await write.publishAll([...ofEnds, ...ofClaims, ...ofJobs]);
          return { ended, claimed, submitted };
        },
        // Devices wait for it; a job that is only stored does not wait for a device yet.
        { urgent: ends.length + claims.length > 0 },
      ),

    renewLeases: (holderPrefix, ttlMs) =>
      database.write(
        ({ db, nowMs }) =>
          db('leases')
            .whereRaw('substr(holder, 1, ?) = ?', [holderPrefix.length, holderPrefix])
            .where('expires_ms', '>', nowMs)
            .update({ expires_ms: nowMs + ttlMs }),
        { urgent: true },
      ),
  };
}

import type { Database } from './database.js';
import { claimAll } from './job-claims.js';
import type { JobStore } from './job-contract.js';
import { endAll } from './job-ends.js';

/** The beginning and the end of attempts: lease, job, result and events of many devices in a few statements. */
export function jobTurnStore(database: Database): Pick<JobStore, 'turnJobs' | 'renewLeases'> {
  return {
    turnJobs: ({ ends = [], claims = [] }, ttlMs) =>
      database.write(
        async (write) => {
          const { ended, events: ofEnds } = await endAll(write, ends);
          const { claimed, events: ofClaims } = await claimAll(write, claims, ttlMs);
          await write.publishAll([...ofEnds, ...ofClaims]);
          return { ended, claimed };
        },
        { urgent: true },
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

import { schedule, validate } from 'node-cron';
import { HildaError } from '../core/errors.js';
import { isBoundedCron } from './cron-times.js';

export interface Recurring {
  /** Lets no further run start; one that is under way ends by itself. */
  stop(): Promise<void>;
}

/**
 * Runs `task` whenever the local time matches a cron expression of five or six fields (the first of six: seconds). A run
 * that is still under way when the next is due lets that one pass. What `task` throws is lost: it tells of its failures
 * itself. Throws SCHEDULE_INVALID.
 */
export function recur(expression: string, task: () => Promise<void>): Recurring {
  if (!isBoundedCron(expression) || !validate(expression))
    throw new HildaError('SCHEDULE_INVALID', `"${expression}" is no cron expression`);
  const job = schedule(expression, () => task().catch(() => {}), { noOverlap: true });
  return { stop: async () => void (await job.destroy()) };
}

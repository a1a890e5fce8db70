import type { Clock } from './clock.js';
import { HildaError } from './errors.js';

/**
 * What `work` resolves to. Where it takes longer than `ms`, throws INTERNAL with `what`, or the error that `what` makes; the work
 * itself is not ended by that.
 */
export async function within<T>(
  ms: number,
  what: string | (() => HildaError),
  work: Promise<T>,
  clock: Clock,
): Promise<T> {
  const done = new AbortController();
  const late = clock.sleep(ms, { signal: done.signal }).then((): never => {
    throw typeof what === 'function'
      ? what()
      : new HildaError('INTERNAL', `${what} within ${Math.round(ms)} ms`);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    done.abort();
    late.catch(() => {});
    work.catch(() => {});
  }
}

import type { Clock } from './clock.js';
import { HildaError } from './errors.js';

/** What `work` resolves to. Throws INTERNAL where it takes longer than `ms`; the work itself is not ended by that. */
export async function within<T>(ms: number, what: string, work: Promise<T>, clock: Clock): Promise<T> {
  const done = new AbortController();
  const late = clock.sleep(ms, { signal: done.signal }).then((): never => {
    throw new HildaError('INTERNAL', `${what} within ${Math.round(ms)} ms`);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    done.abort();
    late.catch(() => {});
    work.catch(() => {});
  }
}

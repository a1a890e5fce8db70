import type { Clock } from '../core/clock.js';
import { asHildaError, type HildaError } from '../core/errors.js';

const firstPauseMs = 1000;
const mostPauseMs = 60_000;

/**
 * Does something again for as long as the store is too busy for it (STORE_BUSY), with growing pauses: another program that
 * holds the database, or a long queue, ends no study. Throws what else it throws, and the signal's reason.
 */
export async function whileBusy<T>(
  act: () => Promise<T>,
  {
    clock,
    signal,
    onBusy,
  }: { readonly clock: Clock; readonly signal: AbortSignal; readonly onBusy: (error: HildaError) => void },
): Promise<T> {
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(mostPauseMs, 2 * pauseMs)) {
    try {
      return await act();
    } catch (thrown) {
      const error = asHildaError(thrown);
      if (signal.aborted || error.code !== 'STORE_BUSY') throw thrown;
      onBusy(error);
      await clock.sleep(pauseMs, { signal });
    }
  }
}

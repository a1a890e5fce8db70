import { kinds, pack } from './messages.js';
import type { PatientLine } from './patient-line.js';

/** How long a board is given to end what it was told to, and how often it is told again meanwhile. */
const endsWithinMs = 1000;
const toldAgainMs = 200;

export interface Stoppable {
  readonly signal: AbortSignal;
  /** Hears that the board did not confirm the end: it may still be at work. */
  readonly onLeft: () => void;
}

/**
 * Waits for a request that lasts. An abort cancels it on the board, again and again, and rejects with the signal's reason
 * as soon as the board ended it, after a second at the latest. The request itself must not listen to the signal.
 */
export async function stopOnAbort<T>(
  requests: PatientLine,
  { signal, onLeft }: Stoppable,
  pending: Promise<T>,
): Promise<T> {
  let ended = false;
  const end = pending.then(
    () => {
      ended = true;
    },
    () => {
      ended = true;
    },
  );
  let onAbort = (): void => {};
  const aborted = new Promise<void>((resolve) => {
    onAbort = resolve;
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  await Promise.race([end, aborted]);
  signal.removeEventListener('abort', onAbort);
  if (!signal.aborted) return pending;
  const over = new AbortController();
  const late = requests.clock.sleep(endsWithinMs, { signal: over.signal }).catch(() => {});
  void late.then(() => over.abort());
  const cancel = async (): Promise<void> => {
    while (!over.signal.aborted) {
      const told = requests.line
        .request(kinds.cancel, pack(), { timeoutMs: toldAgainMs, signal: over.signal })
        .catch(() => {});
      await Promise.all([told, requests.clock.sleep(toldAgainMs, { signal: over.signal }).catch(() => {})]);
    }
  };
  void cancel();
  await Promise.race([end, late]);
  over.abort();
  if (!ended) onLeft();
  throw signal.reason;
}

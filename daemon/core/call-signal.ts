/**
 * Hands a call a signal of its own, which aborts with the given one. A program that does not start leaves its listener on
 * the signal (Node 20): on one that lives as long as the daemon, such listeners would gather.
 */
export async function withCallSignal<T>(
  signal: AbortSignal,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const own = new AbortController();
  const abort = (): void => own.abort(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await call(own.signal);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

interface Waiting {
  readonly calls: Set<{ readonly call: () => void }>;
  readonly listener: () => void;
}

/** By signal that somebody waits on. */
const waiting = new WeakMap<AbortSignal, Waiting>();

/**
 * Calls back once when the signal aborts; answers with the way to stop. For signals that any number of callers wait on: they
 * share one listener, since Node takes more than ten listeners for a leak, and warns. An aborted signal calls nobody.
 */
export function onAbort(signal: AbortSignal, call: () => void): () => void {
  const { calls, listener } = waiting.get(signal) ?? listening(signal);
  const entry = { call };
  calls.add(entry);
  return () => {
    // The last one takes the listener with it: it would keep a combined signal in memory.
    if (!calls.delete(entry) || calls.size > 0) return;
    signal.removeEventListener('abort', listener);
    waiting.delete(signal);
  };
}

function listening(signal: AbortSignal): Waiting {
  const calls: Waiting['calls'] = new Set();
  const listener = (): void => {
    waiting.delete(signal);
    for (const entry of [...calls]) if (calls.delete(entry)) entry.call();
  };
  const known = { calls, listener };
  waiting.set(signal, known);
  signal.addEventListener('abort', listener, { once: true });
  return known;
}

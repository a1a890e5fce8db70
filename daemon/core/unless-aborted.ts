import { onAbort } from './on-abort.js';

/** What a promise resolves to, or the signal's reason where that comes first: the work goes on by itself then. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = (): void => reject(signal.reason);
    if (signal.aborted) leave();
    const stopListening = onAbort(signal, leave);
    promise.then(resolve, reject).finally(stopListening);
  });
}

/** A thread that asks a daemon for its health: the attacking thread is busy with what it sends, and would measure itself. */
import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../../../daemon/core/clock.js';

const { url, token } = workerData as { readonly url: string; readonly token: string };
let longestMs = 0;
let isWatching = true;

parentPort?.on('message', () => {
  isWatching = false;
});

while (isWatching) {
  const startUs = systemClock.monotonicUs();
  await fetch(`${url}/v1/health`, {
    headers: { authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(60_000),
  }).then(
    (response) => response.arrayBuffer(),
    () => null,
  );
  longestMs = Math.max(longestMs, (systemClock.monotonicUs() - startUs) / 1000);
  parentPort?.postMessage(longestMs);
  await systemClock.sleep(100);
}
process.exit();

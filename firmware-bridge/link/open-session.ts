import { HildaError } from '../../daemon/core/errors.js';
import { type Hello, kinds, pack } from './messages.js';
import type { PatientLine } from './patient-line.js';
import { readHello } from './read-hello.js';
import { gotLost } from './request-line.js';

const helloAttempts = 5;
const busyPauseMs = 100;

/**
 * Says hello in any state of the board; what it still does for an earlier session ends. Throws FIRMWARE_MISMATCH, and
 * DEVICE_FAILED where nothing answers.
 */
export async function openSession(
  requests: PatientLine,
  { nonce, signal }: { readonly nonce: () => number; readonly signal: AbortSignal },
): Promise<Hello> {
  const { line, clock } = requests;
  const startUs = clock.monotonicUs();
  for (let attempt = 1; ; ) {
    line.startSession(nonce());
    try {
      const timeoutMs = requests.timeout(300);
      return readHello(await line.request(kinds.hello, pack(), { signal, timeoutMs }));
    } catch (thrown) {
      if (requests.isBusy(thrown, startUs)) {
        // Firmware of link version 1 ends a run by a cancel alone; the session it takes over already.
        await line.request(kinds.cancel, pack(), { signal, timeoutMs: 300 }).catch(() => {});
        await clock.sleep(busyPauseMs, { signal });
        continue;
      }
      if (!isTransient(thrown) || attempt++ === helloAttempts) throw requests.explain(thrown);
    }
  }
}

export const isRestart = (thrown: unknown): thrown is HildaError =>
  thrown instanceof HildaError && thrown.details.restarted === true;

/** No answer, or the board came up meanwhile: hello is worth another try. */
const isTransient = (thrown: unknown): boolean => gotLost(thrown) || isRestart(thrown);

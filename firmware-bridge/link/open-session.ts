import { HildaError } from '../../daemon/core/errors.js';
import { type Hello, kinds, pack } from './messages.js';
import type { PatientLine } from './patient-line.js';
import { readHello } from './read-hello.js';
import { gotLost } from './request-line.js';

/** How many hellos in a row may get lost. */
const helloAttempts = 5;
/** How many starts of the board one hello may see: more are a board that cannot stay up. */
const mostBoots = 5;
const busyPauseMs = 100;

export interface OpenSessionOptions {
  readonly nonce: () => number;
  readonly signal: AbortSignal;
  /** How long the board may take to start: until then no silence counts. 0 unless said. */
  readonly bootMs?: number | undefined;
}

/**
 * Says hello in any state of the board; what it still does for an earlier session ends. A board that starts meanwhile is
 * asked again. Throws FIRMWARE_MISMATCH, and DEVICE_FAILED where nothing answers or the board starts again and again.
 */
export async function openSession(
  requests: PatientLine,
  { nonce, signal, bootMs = 0 }: OpenSessionOptions,
): Promise<Hello> {
  const { line, clock } = requests;
  const startUs = clock.monotonicUs();
  const isStarting = (): boolean => (clock.monotonicUs() - startUs) / 1000 < bootMs;
  for (let lost = 0, boots = 0; ; ) {
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
      if (isRestart(thrown) && ++boots <= mostBoots) lost = 0;
      else if (!gotLost(thrown) || (++lost >= helloAttempts && !isStarting())) throw requests.explain(thrown);
    }
  }
}

export const isRestart = (thrown: unknown): thrown is HildaError =>
  thrown instanceof HildaError && thrown.details.restarted === true;

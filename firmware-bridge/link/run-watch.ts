import { HildaError } from '../../daemon/core/errors.js';
import { kinds, type LastRun, pack, parseLastRun, viewOf } from './messages.js';
import type { PatientLine } from './patient-line.js';
import { gotLost, RefusedError } from './request-line.js';

/** How long a run is waited for before the board is asked whether it still runs, and between two questions. */
const lookMs = 1000;
/** A board from which nothing comes for this long is given up. */
const silentMs = 10_000;

/** What the looking found out of a run whose reply did not come. */
export type Found = { readonly last: LastRun | null } | { readonly fault: Error };

/**
 * Looks after a run that was asked for: resolves once the board is idle and yet no reply came, with what it keeps of its last
 * run (null: firmware before link version 2, which keeps nothing), or with the fault of a board that is silent or started
 * anew. Rejects when the signal aborts, since the reply came.
 */
export async function watchRun(
  requests: PatientLine,
  { keepsReport, signal }: { readonly keepsReport: boolean; readonly signal: AbortSignal },
): Promise<Found> {
  const { clock, line } = requests;
  let heard = line.heard;
  let silentSinceUs = clock.monotonicUs();
  for (;;) {
    await clock.sleep(lookMs, { signal });
    try {
      const timeoutMs = requests.timeout(500);
      const state = viewOf(await line.request(kinds.ping, pack(), { signal, timeoutMs })).getUint8(0);
      if (state === 0) {
        if (!keepsReport) return { last: null };
        return { last: parseLastRun(await line.request(kinds.report, pack(), { signal, timeoutMs })) };
      }
    } catch (thrown) {
      signal.throwIfAborted();
      const none = thrown instanceof RefusedError && thrown.details.refusal === 'noProgram';
      if (none) return { last: null };
      // Busy: another run began in between, which its own reply will end.
      const passes = thrown instanceof RefusedError && thrown.details.refusal === 'busy';
      if (!passes && !gotLost(thrown)) return { fault: thrown as Error };
    }
    if (line.heard !== heard) silentSinceUs = clock.monotonicUs();
    heard = line.heard;
    if ((clock.monotonicUs() - silentSinceUs) / 1000 >= silentMs * requests.patience)
      return { fault: silent() };
  }
}

const silent = (): HildaError =>
  new HildaError('DEVICE_FAILED', 'the board fell silent while it ran the network', {
    details: { unanswered: true },
  });

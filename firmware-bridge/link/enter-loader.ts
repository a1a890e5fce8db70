import { HildaError } from '../../daemon/core/errors.js';
import { kinds, pack } from './messages.js';
import type { PatientLine } from './patient-line.js';
import { gotLost, RefusedError } from './request-line.js';

/** Asks a board to start its boot loader. Throws STATE_CONFLICT where its firmware has no way to, or is older than the request. */
export async function enterLoader(requests: PatientLine, signal: AbortSignal): Promise<void> {
  try {
    await requests.line.request(kinds.loader, pack(), { signal, timeoutMs: requests.timeout(1000) });
  } catch (thrown) {
    if (thrown instanceof RefusedError && thrown.details.refusal === 'unknown')
      throw new HildaError('STATE_CONFLICT', 'the firmware of the board has no way into its boot loader');
    // The board may have gone before its reply was read.
    if (!gotLost(thrown) && !requests.line.lost) throw requests.explain(thrown);
  }
}

import type { BoardSession } from '../../../firmware-bridge/link/index.js';
import type { Clock } from '../../core/clock.js';
import type { CallOptions } from '../contract.js';

const everyMs = 2000;

/**
 * Tells now and then that a board which is at long work still says something: an answer to a ping, progress of its flash, an
 * acknowledged chunk. Until the signal aborts; a silent board is not told of.
 */
export async function tellSigns(
  session: BoardSession,
  clock: Clock,
  onProgress: NonNullable<CallOptions['onProgress']>,
  signal: AbortSignal,
): Promise<void> {
  for (let before = session.heard; !signal.aborted; ) {
    await clock.sleep(everyMs, { signal }).catch(() => {});
    if (signal.aborted) return;
    if (session.heard !== before || session.deaf) onProgress({ step: 'board', done: 0, of: 1 });
    before = session.heard;
  }
}

import { type Hello, kinds, pack, spaces } from './messages.js';
import type { PatientLine } from './patient-line.js';
import { type Stoppable, stopOnAbort } from './stop-request.js';

/** The pool's seed, fixed by ABI.md. */
export const poolSeed = 0x9e3779b9;

/** A fill that shows no sign of life for so long has ended; firmware before link version 2 shows none. */
const silenceMs = { withSigns: 10_000, without: 30_000 };

/** Has the board fill its whole pool. Takes seconds where it lies in flash; an abort ends it. */
export async function fillPool(
  requests: PatientLine,
  { poolBytes, linkVersion }: Pick<Hello, 'poolBytes' | 'linkVersion'>,
  stoppable: Stoppable,
): Promise<void> {
  const payload = pack([spaces.pool, 8], [0, 32], [poolBytes, 32], [poolSeed, 32]);
  const timeoutMs = requests.timeout(linkVersion >= 2 ? silenceMs.withSigns : silenceMs.without);
  const fill = requests.ask(kinds.fill, payload, { timeoutMs, lasting: true });
  await stopOnAbort(requests, stoppable, fill);
}

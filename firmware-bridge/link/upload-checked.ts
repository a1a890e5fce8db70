import { type Hello, kinds, type ProgramFacts, pack, parseProgramFacts, type Slot } from './messages.js';
import { attempts, type PatientLine } from './patient-line.js';
import { gotLost, RefusedError } from './request-line.js';
import { type UploadOptions, upload } from './upload.js';

/** Sends a program and has it checked; again from the start where it arrived damaged. */
export async function uploadChecked(
  requests: PatientLine,
  { windowBytes, maxPayloadBytes }: Pick<Hello, 'windowBytes' | 'maxPayloadBytes'>,
  slot: Slot,
  program: Uint8Array,
  { signal, onProgress }: Pick<UploadOptions, 'signal' | 'onProgress'>,
): Promise<ProgramFacts> {
  for (let attempt = 1; ; attempt++) {
    try {
      const timeoutMs = requests.timeout(slot === 'ram' ? 500 : 4000, windowBytes);
      const chunkBytes = Math.min(1024, maxPayloadBytes - 4);
      await upload(requests, slot, program, { signal, chunkBytes, timeoutMs, onProgress });
      const checkMs = requests.timeout(3000);
      return parseProgramFacts(
        await requests.line.request(kinds.finish, pack(), { signal, timeoutMs: checkMs }),
      );
    } catch (thrown) {
      // Where the reply of a refused finish got lost, the program is gone when it is asked for again.
      const refusal = thrown instanceof RefusedError ? thrown.details.refusal : 'none';
      const again = ['checksum', 'noProgram'].includes(refusal) || gotLost(thrown);
      if (!again || attempt === attempts) throw requests.explain(thrown);
    }
  }
}

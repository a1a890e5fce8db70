import { HildaError } from '../../daemon/core/errors.js';
import type { RefusedError } from './request-line.js';

/** Errors of hilda_check and hilda_run by number (ABI.md). */
const programErrors = [
  'no error',
  'its header is damaged',
  'it is for another version of the firmware',
  'it needs more memory than the board has',
  'it needs a larger weight pool than the board has',
  'it has no operators, or too many',
  'it has an operator that the firmware does not know',
  'an operand lies outside its memory',
  'an operand is in a memory it may not be in',
  'an operand is not aligned',
  'the sizes of an operator contradict each other',
  'a size is beyond the limits',
  'its weights are laid out for another core',
  'a reserved field is not zero',
  'a group of operators is malformed',
  'it would take too long',
  'it was cancelled',
  'its input did not come',
  'an index lies outside its table',
] as const;
const outOfMemory = new Set([3, 4]);
const anotherAbi = 2;

/** A board's refusal as the error that callers of a device know. */
export function explainRefusal({ kind, details }: RefusedError, board: string): HildaError {
  const { refusal, operatorIndex, detail } = details;
  const facts = { refusal, operatorIndex, detail };
  switch (refusal) {
    case 'refused':
      return new HildaError(
        outOfMemory.has(detail) ? 'DEVICE_OUT_OF_MEMORY' : 'NETWORK_REJECTED',
        `the board refuses the program at operator ${operatorIndex}: ${programErrors[detail] ?? `error ${detail}`}`,
        {
          // Only a deployment of former days gets this far: uploads are of the ABI that hello named.
          ...(detail === anotherAbi && { hint: 'Deploy the network again with `hilda deploy`.' }),
          details: facts,
        },
      );
    case 'tooLarge':
      return new HildaError(
        'DEVICE_OUT_OF_MEMORY',
        `the program does not fit: the board takes ${detail} bytes`,
        {
          details: facts,
        },
      );
    case 'cancelled':
      return new HildaError('INTERRUPTED', 'the run was cancelled', { details: facts });
    case 'timeLimit':
      return new HildaError(
        'DEVICE_TIMEOUT',
        `the board stopped the network at operator ${operatorIndex}: out of time`,
        {
          details: facts,
        },
      );
    case 'session':
      return new HildaError('DEVICE_FAILED', `the board at ${board} was restarted meanwhile`, {
        details: { ...facts, restarted: true },
      });
    case 'storage':
      return new HildaError('DEVICE_FAILED', `the flash of the board at ${board} cannot be written`, {
        details: facts,
      });
    default:
      return new HildaError(
        'DEVICE_FAILED',
        `the board at ${board} refused request 0x${kind.toString(16)}: ${refusal}`,
        {
          details: facts,
        },
      );
  }
}

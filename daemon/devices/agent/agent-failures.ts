import { HildaError } from '../../core/errors.js';
import type { SentWork } from '../work.js';
import type { Job } from './jobs.js';

/** What an agent may say of a device and a network; of the daemon's own store, studies and defects it knows nothing. */
const speakable: ReadonlySet<string> = new Set([
  'NETWORK_REJECTED',
  'NETWORK_TOO_LARGE',
  'ONNX_INVALID',
  'OPERATOR_UNSUPPORTED',
  'SHAPE_UNKNOWN',
  'QUANTISATION_FAILED',
  'PROVIDER_UNKNOWN',
  'PROVIDER_FALLBACK',
  'PROVIDER_SOFTWARE',
  'MEASUREMENT_INVALID',
  'DEVICE_FAILED',
  'DEVICE_GONE',
  'DEVICE_BUSY',
  'DEVICE_OUT_OF_MEMORY',
  'DEVICE_TIMEOUT',
  'FAILURE_UNEXPLAINED',
  'FIRMWARE_MISMATCH',
  'FLASH_TOOL_MISSING',
  'MESSAGE_INVALID',
  'ADB_FAILED',
  // By a code of its own: an agent's full disk must not pass for the daemon's, which would end studies of other devices too.
  'PEER_STORAGE',
]);

/** What a person asked for, no study: the inputs or the deployment may be at fault. */
const askedFor: ReadonlySet<SentWork['kind']> = new Set<SentWork['kind']>([
  'run',
  'deploy',
  'runDeployed',
  'rehearse',
  'erase',
  'reset',
]);

/** What an agent makes up must not pass for the daemon's own word. */
export function failureOf({ agentId, work }: Job, error: HildaError): HildaError {
  const { code, message, hint } = error;
  const refused = code === 'REQUEST_INVALID' || code === 'STATE_CONFLICT';
  if (speakable.has(code) || (refused && askedFor.has(work.kind))) return error;
  return new HildaError('DEVICE_FAILED', `the agent ${agentId} failed with ${code}: ${message}`, {
    cause: error,
    hint,
  });
}

import { type ErrorCode, HildaError } from '../core/errors.js';
import { isAway } from './away.js';

/**
 * What an error makes likely, before a reference network has run. `proven`: hilda's own analysis refused the network, no device
 * had a part in it. `memory`: it ran out, of the moment or for this size. `way`: the network did not reach the device, so
 * nothing is known of it. Null: nothing that measuring is to blame for.
 */
export type Suspicion = 'proven' | 'network' | 'unexplained' | 'memory' | 'device' | 'way' | null;

/** Codes of static analysis: the same network gets the same answer everywhere. */
const provenCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ARCHITECTURE_INVALID',
  'NETWORK_TOO_LARGE',
  'OPERATOR_UNSUPPORTED',
  'SHAPE_UNKNOWN',
  'QUANTISATION_FAILED',
]);

const suspicions: Readonly<Partial<Record<ErrorCode, Suspicion>>> = {
  NETWORK_REJECTED: 'network',
  PROVIDER_FALLBACK: 'network',
  DEVICE_OUT_OF_MEMORY: 'memory',
  DEVICE_FAILED: 'unexplained',
  DEVICE_TIMEOUT: 'unexplained',
  FAILURE_UNEXPLAINED: 'unexplained',
  ONNX_INVALID: 'unexplained',
  // A session that is gone: its process ended between two calls.
  NOT_FOUND: 'unexplained',
  MESSAGE_INVALID: 'device',
  ADB_FAILED: 'device',
  PROVIDER_SOFTWARE: 'device',
  PROVIDER_UNKNOWN: 'device',
  FIRMWARE_MISMATCH: 'device',
  RUNNER_OUTPUT_INVALID: 'device',
  LINE_TOO_SLOW: 'way',
  PEER_STORAGE: 'way',
};

/** `isRemote`: another machine tells it, whose own analysis may be broken. */
export function suspicionOf(error: HildaError, isRemote = false): Suspicion {
  const { code, details } = error;
  if (isAway(error)) return null;
  if (provenCodes.has(code) || isComputedShortage(error)) return isRemote ? 'network' : 'proven';
  if (!Object.hasOwn(suspicions, code)) return null;
  if (details.memory === true) return 'memory';
  if (details.suspect === 'device' || details.suspect === 'network') return details.suspect;
  return suspicions[code] ?? null;
}

/** A board's plan says how many bytes lack before anything is sent. */
const isComputedShortage = ({ code, details }: HildaError): boolean =>
  code === 'DEVICE_OUT_OF_MEMORY' && typeof details.arenaLimitBytes === 'number';

/** How a failure counts in a study: the network's fault is told to the sampler, any other ends the trial alone. */
export type Fault = 'network' | 'other';

/** Faults of devices, links and evaluators that were not settled, or not in the network's disfavour. */
const otherFaults: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  ...(Object.keys(suspicions) as ErrorCode[]).filter((code) => code !== 'NOT_FOUND'),
  'EVALUATION_FAILED',
  'LEASE_STALE',
  'MEASUREMENT_INVALID',
]);

/** Undefined for what is no fault of a trial: an abort, the store, a specification, a defect. */
export function faultOf(error: HildaError): Fault | undefined {
  if (error.details.atFault === 'network' || provenCodes.has(error.code)) return 'network';
  return otherFaults.has(error.code) ? 'other' : undefined;
}

/** The error with whom it is charged to, which it keeps where it crosses to another machine. */
export function charged(
  error: HildaError,
  atFault: 'network' | 'device',
  message: string,
  code: ErrorCode = error.code,
): HildaError {
  return new HildaError(code, message, {
    cause: error,
    details: { ...error.details, atFault },
    ...(code === error.code && { hint: error.hint }),
  });
}

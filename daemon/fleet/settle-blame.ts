import type { Clock } from '../core/clock.js';
import { asHildaError, type ErrorCode, HildaError } from '../core/errors.js';
import { isAway } from './away.js';
import { charged, type Suspicion, suspicionOf } from './suspicion.js';

/** One job on one device, taken apart so that it can be repeated. */
export interface Settling<T> {
  /** Opens the device where needed and does the job. */
  attempt(): Promise<T>;
  /** Opens the device where needed and runs a reference network; throws what that throws. */
  reference(): Promise<void>;
  /** As `reference`, with a network that ran here before and is no smaller; does nothing where there is none. */
  larger(): Promise<void>;
  /** Closes the device, so that the next step opens it afresh. */
  close(): Promise<void>;
}

export interface SettleOptions {
  readonly device: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** See `suspicionOf`. */
  readonly isRemote?: boolean;
}

interface Failure {
  readonly error: HildaError;
  readonly suspicion: Exclude<Suspicion, 'proven' | 'way' | null>;
}

/** Failures beside a working reference that convict a network. Words of a device must be contradicted more often. */
const failuresNeeded = { network: 2, unexplained: 2, memory: 3, device: 3 } as const;

/** Before a network that ran out of memory runs again: the moment may pass. Grows fourfold. */
const memoryPauseMs = 500;

/**
 * Does the job; where it fails, finds out whose fault it is. A reference network runs next on the same device: where it fails
 * twice on the device opened afresh, the device is at fault. Where it runs, the job is repeated, and a network that
 * fails as often as the words demand beside a reference that runs is at fault. Before that verdict the reference must
 * run twice in a row, which a device that fails every other time does not do.
 *
 * Throws what the job throws with `details.atFault`, or unchanged where measuring is not to blame, and DEVICE_GONE.
 */
export async function settled<T>(steps: Settling<T>, options: SettleOptions): Promise<T> {
  const { device, clock, signal, isRemote } = options;
  const failures: Failure[] = [];
  for (;;) {
    try {
      return await steps.attempt();
    } catch (thrown) {
      signal.throwIfAborted();
      const error = asHildaError(thrown);
      const suspicion = suspicionOf(error, isRemote);
      if (suspicion === null) throw thrown;
      if (suspicion === 'proven') throw charged(error, 'network', error.message);
      if (suspicion === 'way') throw unreached(error);
      failures.push({ error, suspicion });
      if (suspicion !== 'network') await steps.close();
    }
    // As it is first, where the words accuse the network: opening a device afresh may cost seconds.
    await assertReference(steps, options, failures, failures.at(-1)?.suspicion === 'network' ? 3 : 2);
    const last = failures.at(-1) as Failure;
    const enough = Math.max(...failures.map(({ suspicion }) => failuresNeeded[suspicion]));
    if (failures.length >= enough) {
      await assertReference(steps, options, failures, 1);
      if (last.suspicion === 'memory') await assertLarger(steps, options, last);
      const evidence = `it failed ${failures.length} times beside a reference network that ran on ${device}`;
      throw charged(last.error, 'network', `${last.error.message} (${evidence})`, networkCode(last.error));
    }
    if (last.suspicion === 'memory')
      await clock.sleep(memoryPauseMs * 4 ** (failures.length - 1), { signal });
  }
}

/** Throws the device's fault. What just failed may have left it in a state that opening it afresh mends, if not at once. */
async function assertReference<T>(
  steps: Settling<T>,
  { device, signal }: SettleOptions,
  failures: readonly Failure[],
  tries: number,
): Promise<void> {
  for (let left = tries; ; left--) {
    try {
      return await steps.reference();
    } catch (thrown) {
      signal.throwIfAborted();
      const error = asHildaError(thrown);
      const suspicion = suspicionOf(error);
      if (isAway(error) || suspicion === null) throw thrown;
      await steps.close();
      if (suspicion === 'way') throw unreached(error);
      if (left > 1) continue;
      const first = failures[0]?.error;
      const before = first && first.message !== error.message ? `; before it: ${first.message}` : '';
      const message = `${device} does not run a reference network either: ${error.message}${before}`;
      throw charged(error, 'device', message, deviceCode(error));
    }
  }
}

/**
 * Memory ran out for this network. Where one that is no smaller ran before and does not now, the moment is to blame: the device
 * has less memory than it had, and no strike.
 */
async function assertLarger<T>(
  steps: Settling<T>,
  { device, signal }: SettleOptions,
  { error }: Failure,
): Promise<void> {
  try {
    await steps.larger();
  } catch (thrown) {
    signal.throwIfAborted();
    if (suspicionOf(asHildaError(thrown)) === null) throw thrown;
    await steps.close();
    const message = `${device} has less memory than it had: a larger network ran before, and does not now: ${error.message}`;
    throw new HildaError('DEVICE_FAILED', message, {
      cause: error,
      details: { atFault: 'device', moment: true },
      hint: 'Close other programs on the device.',
    });
  }
}

/**
 * The line or the peer's disk did not take the network. A reference network that is smaller, or there already, proves nothing
 * against it; nor is the device broken, so that it gets no strike.
 */
function unreached(error: HildaError): HildaError {
  const { code, message, hint, details } = error;
  return new HildaError(code, message, {
    cause: error,
    hint,
    details: { ...details, atFault: 'device', moment: true },
  });
}

/** Codes that say what a device did wrong. */
const deviceCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'DEVICE_TIMEOUT',
  'ADB_FAILED',
  'MESSAGE_INVALID',
  'PROVIDER_SOFTWARE',
  'FIRMWARE_MISMATCH',
]);
const deviceCode = ({ code }: HildaError): ErrorCode => (deviceCodes.has(code) ? code : 'DEVICE_FAILED');

/** Codes that say what a network did wrong, or what became of it. */
const networkCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'DEVICE_OUT_OF_MEMORY',
  'DEVICE_TIMEOUT',
  'NETWORK_TOO_LARGE',
  'OPERATOR_UNSUPPORTED',
  'PROVIDER_FALLBACK',
  'QUANTISATION_FAILED',
  'SHAPE_UNKNOWN',
]);
const networkCode = ({ code }: HildaError): ErrorCode => (networkCodes.has(code) ? code : 'NETWORK_REJECTED');

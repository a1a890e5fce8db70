import type { Clock } from '../core/clock.js';
import { asHildaError, HildaError } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import { targetKey } from '../core/target.js';
import type { Device } from '../devices/contract.js';
import { calibrationSchema } from '../measure/calibration.js';
import type { Graph } from '../network/graph.js';
import type { DeviceRecord, Store } from '../store/contract.js';
import { isAtFault, isAway } from './away.js';
import { Departures } from './departures.js';
import { failuresOfAKind } from './health/rules.js';
import type { Seen } from './lookout.js';
import { checkHealth, isNoSmaller, largerOf, type Ran } from './reference-run.js';
import { storeLedger } from './repeatability-ledger.js';
import { RepeatingDevice } from './repeating-device.js';
import { settled } from './settle-blame.js';
import { Turns } from './turns.js';

export interface SlotParts {
  readonly store: Store;
  readonly clock: Clock;
  /** Finds the device. Throws DEVICE_GONE, and DEVICE_FAILED where an obstacle stands in the way. */
  readonly usable: (id: DeviceId, signal: AbortSignal) => Promise<Seen>;
  readonly warn: (error: HildaError, message: string) => void;
  /** It was quarantined. */
  readonly onChanged: () => void;
}

export interface UseOptions {
  readonly signal: AbortSignal;
  /**
   * The network that is measured. Whose fault a failure is, is then settled on this very device (see `settled`): the work
   * may run several times, so it must record nothing before its last step.
   */
  readonly network?: Graph | undefined;
  /** The device's record, where the caller read it just now. */
  readonly record?: DeviceRecord;
  /** The one work that a device in quarantine is used for. */
  readonly isHealthCheck?: boolean;
}

/** After so many failures in a row the device itself is examined before it is used again. */
const strikesBeforeCheck = 3;

/** One device: opened when it is first used and kept open, one use at a time; and what a failure means for it. */
export class DeviceSlot {
  readonly #id: DeviceId;
  readonly #parts: SlotParts;
  readonly #turns = new Turns();
  readonly #departures = new Departures();
  #device: Device | undefined;
  /** Failures of the device in a row. */
  #strikes = 0;
  /** Failures in a row that had the same code, whether it ran a reference network meanwhile or not. */
  #alike: { readonly code: string; readonly count: number } | undefined;
  /** The largest network that ran. */
  #largest: Ran | undefined;

  constructor(id: DeviceId, parts: SlotParts) {
    this.#id = id;
    this.#parts = parts;
  }

  /** It is taken back into use: what it did before is forgiven. */
  forgive(): void {
    this.#strikes = 0;
    this.#alike = undefined;
  }

  /** See `DevicePool.use`. */
  use<T>(options: UseOptions, work: (device: Device) => Promise<T>): Promise<T> {
    return this.#turns.run(async () => {
      const record = options.record ?? (await this.#parts.store.device(this.#id));
      const { kind } = assertInUse(record, options.isHealthCheck);
      return this.#perform(options, kind === 'agent', work);
    }, options.signal);
  }

  /** Closes the device once the present use has ended. */
  async closeWhenIdle(signal: AbortSignal): Promise<void> {
    if (this.#device) await this.#turns.run(() => this.#close(), signal).catch(() => {});
  }

  /** Refuses further uses, waits for the present one, closes the device. */
  async stop(): Promise<void> {
    await this.#turns.close();
    await this.#close();
  }

  async #perform<T>(
    { signal, network, isHealthCheck = false }: UseOptions,
    isRemote: boolean,
    work: (device: Device) => Promise<T>,
  ): Promise<T> {
    try {
      if (this.#strikes >= strikesBeforeCheck && !isHealthCheck) await this.#examine(signal);
      const attempt = async (): Promise<T> => work(await this.#opened(signal));
      const result = await (network ? this.#settle(network, attempt, signal, isRemote) : attempt());
      this.forgive();
      return result;
    } catch (thrown) {
      await this.#blamed(asHildaError(thrown), network !== undefined, isHealthCheck);
      throw thrown;
    }
  }

  async #opened(signal: AbortSignal): Promise<Device> {
    this.#device ??= await this.#open(signal);
    return this.#device;
  }

  /** Does the work, or throws whose fault it is that it fails. */
  async #settle<T>(
    network: Graph,
    attempt: () => Promise<T>,
    signal: AbortSignal,
    isRemote: boolean,
  ): Promise<T> {
    const run = async (other?: Graph): Promise<void> =>
      checkHealth(await this.#opened(signal), signal, other);
    const largest = this.#largest;
    const steps = {
      attempt,
      reference: run,
      larger: async () => {
        if (isNoSmaller(largest, network)) await run(largest.network);
      },
      close: () => this.#close(),
    };
    const { clock } = this.#parts;
    const result = await this.#departures.watch(network, {
      device: this.#id,
      reference: run,
      work: () => settled(steps, { device: this.#id, clock, signal, isRemote }),
    });
    this.#largest = largerOf(largest, network);
    return result;
  }

  /** What a failure means for the device: a strike, to be opened afresh, to be taken out of use. */
  async #blamed(error: HildaError, isSettled: boolean, isHealthCheck: boolean): Promise<void> {
    const { code, message, details } = error;
    const isStruck =
      details.unopened === 'failed' ||
      (details.unopened === undefined && !isSettled && deviceAtFault.has(code)) ||
      (isAtFault(error) && details.moment !== true);
    if (isStruck) {
      this.#strikes++;
      this.#alike = { code, count: this.#alike?.code === code ? this.#alike.count + 1 : 1 };
    } else if (details.atFault === 'network') this.forgive();
    if (deviceAtFault.has(code) || isAtFault(error) || code === 'DEVICE_GONE') await this.#close();
    // Who checks its health judges it by all that the check found.
    if (isHealthCheck) return;
    if (isAtFault(error) && this.#strikes >= strikesBeforeCheck) await this.#quarantine(message);
    const { count = 0 } = this.#alike ?? {};
    if (isStruck && count >= failuresOfAKind)
      await this.#setAside(`failed ${count} times in a row with ${code}: ${message}`);
  }

  async #open(signal: AbortSignal): Promise<Device> {
    const { usable, store, clock, warn } = this.#parts;
    const id = this.#id;
    const { driver, sighting } = await usable(id, signal);
    let device: Device | undefined;
    try {
      device = await driver.open(sighting, { signal });
      await this.#calibrate(device, signal);
      return new RepeatingDevice(device, {
        ledger: storeLedger(store, id, device.target),
        clock,
        onTrouble: (error) => warn(error, `a probe of the repeatability of ${id} failed`),
      });
    } catch (thrown) {
      await device?.close().catch(() => {});
      const { code, message, hint, details } = asHildaError(thrown);
      if (signal.aborted || otherThanOpening.has(code)) throw thrown;
      throw new HildaError(code, message, {
        hint,
        details: { ...details, unopened: 'failed' },
        cause: thrown,
      });
    }
  }

  /** Normalised latencies of one device stay in one unit for as long as the store remembers its calibration. */
  async #calibrate(device: Device, signal: AbortSignal): Promise<void> {
    if (!device.calibrate) return;
    const { store } = this.#parts;
    // The second unit: legs count with their mean. What an earlier version took by medians is another unit.
    const key = `calibration 2 ${this.#id} ${targetKey(device.target)}`;
    const { data: known } = calibrationSchema.safeParse(await store.value(key));
    const calibration = await device.calibrate({ signal, ...(known && { known }) });
    if (!known) await store.setValue(key, calibration);
  }

  /** Throws STATE_CONFLICT after it quarantined a device that does not open or cannot run a reference network either. */
  async #examine(signal: AbortSignal): Promise<void> {
    try {
      await checkHealth(await this.#opened(signal), signal);
      this.#strikes = 0;
    } catch (thrown) {
      signal.throwIfAborted();
      const error = asHildaError(thrown);
      if (isAway(error) && error.details.unopened !== 'failed') throw error;
      await this.#quarantine(error.message);
    }
  }

  /** Throws STATE_CONFLICT, as every later use will. */
  async #quarantine(why: string): Promise<never> {
    return this.#setAside(`failed ${this.#strikes} times in a row, then a reference network: ${why}`);
  }

  async #setAside(reason: string): Promise<never> {
    await this.#parts.store.setDeviceState(this.#id, 'quarantined', reason, 'failures');
    this.#parts.onChanged();
    await this.#close();
    assertInUse(await this.#parts.store.device(this.#id));
    throw new HildaError('STATE_CONFLICT', `the device ${this.#id} is quarantined: ${reason}`);
  }

  async #close(): Promise<void> {
    const device = this.#device;
    this.#device = undefined;
    await device
      ?.close()
      .catch((thrown: unknown) => this.#parts.warn(asHildaError(thrown), `closing ${this.#id} failed`));
  }
}

/** Throws STATE_CONFLICT for a device that was taken out of use. A health check is what a quarantined one is used for. */
function assertInUse(record: DeviceRecord, isHealthCheck = false): DeviceRecord {
  const { id, state, reason } = record;
  if ((state !== 'ignored' && state !== 'quarantined') || (isHealthCheck && state === 'quarantined'))
    return record;
  const verb = state === 'quarantined' ? 'release' : 'adopt';
  throw new HildaError('STATE_CONFLICT', `the device ${id} is ${state}${reason ? `: ${reason}` : ''}`, {
    hint: `Take it back into use with \`hilda devices ${verb} ${id}\`.`,
    details: { setAside: state },
  });
}

/** Errors during opening that do not mean that the device failed to open. */
const otherThanOpening: ReadonlySet<string> = new Set([
  'DEVICE_GONE',
  'DEVICE_BUSY',
  'INTERRUPTED',
  'LEASE_STALE',
  'DISK_FULL',
  'DISK_FAILED',
  'STORE_BUSY',
  'STORE_CORRUPT',
]);

/** It crashed, or broke the protocol: it is opened afresh before anything else runs on it. */
const deviceAtFault: ReadonlySet<string> = new Set(['DEVICE_FAILED', 'MESSAGE_INVALID']);

import { z } from 'zod';
import { asHildaError, HildaError } from '../core/errors.js';
import { targetDifference } from '../core/target.js';
import { measurementSchema, offeredDeviceSchema } from '../devices/agent/wire.js';
import type { Device, Driver, Sighting } from '../devices/contract.js';

/** A driver of a plug-in. What it and its devices answer is checked, and each error they throw gets a code. */
export class CheckedDriver implements Driver {
  readonly kind: string;
  readonly watch?: NonNullable<Driver['watch']>;
  readonly #inner: Driver;
  readonly #who: string;

  /** Throws PLUGIN_FAILED where it lacks a method, or calls itself by another kind. */
  constructor(kind: string, inner: Driver, plugin: string) {
    this.kind = kind;
    this.#inner = inner;
    this.#who = `the driver ${kind} of ${plugin}`;
    const missing = (['discover', 'open'] as const).filter((method) => typeof inner?.[method] !== 'function');
    if (missing.length > 0) throw this.#broken(`has no ${missing.join(', ')}`);
    if (inner.kind !== kind) throw this.#broken(`calls itself ${JSON.stringify(inner.kind)}`);
    if (typeof inner.watch === 'function')
      this.watch = (options) => this.#guard(options.signal, async () => inner.watch?.(options));
  }

  async *discover(options: { readonly signal: AbortSignal }): AsyncIterable<Sighting> {
    const ids = new Set<string>();
    try {
      for await (const sighting of this.#inner.discover(options)) {
        const checked = this.#sighting(sighting);
        if (ids.has(checked.id)) throw this.#broken(`sees two devices of the id ${checked.id}`);
        ids.add(checked.id);
        yield checked;
      }
    } catch (thrown) {
      throw this.#coded(thrown, options.signal, 'PLUGIN_FAILED');
    }
  }

  async open(sighting: Sighting, options: { readonly signal: AbortSignal }): Promise<Device> {
    const device = await this.#guard(options.signal, () => this.#inner.open(sighting, options));
    const missing = (['measure', 'close'] as const).filter(
      (method) => typeof device?.[method] !== 'function',
    );
    if (missing.length > 0) throw this.#broken(`opened a device that has no ${missing.join(', ')}`);
    return checkedDevice(device, {
      guard: (signal, work) => this.#guard(signal, work),
      broken: (why) => this.#broken(why),
    });
  }

  #sighting(given: Sighting): Sighting {
    const parsed = offeredDeviceSchema.safeParse(given);
    if (!parsed.success)
      throw this.#broken(`sees a device that is not described well: ${z.prettifyError(parsed.error)}`);
    const { id, kind } = parsed.data;
    if (kind !== this.kind) throw this.#broken(`sees a device of the kind ${kind}`);
    if (!id.startsWith(`${this.kind}-`))
      throw this.#broken(`sees the device ${id}: ids must begin with ${this.kind}-`);
    return { ...parsed.data, ...(given.invited === true && { invited: true }) } as Sighting;
  }

  async #guard<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (thrown) {
      throw this.#coded(thrown, signal, 'DEVICE_FAILED');
    }
  }

  /** An error of the contract keeps its code; any other one is the device's or, while it looks, the plug-in's. */
  #coded(thrown: unknown, signal: AbortSignal, code: 'DEVICE_FAILED' | 'PLUGIN_FAILED'): HildaError {
    const error = asHildaError(thrown);
    if (error.code !== 'INTERNAL') return error;
    if (signal.aborted) return new HildaError('INTERRUPTED', 'the work was aborted', { cause: thrown });
    return new HildaError(code, `${this.#who} threw: ${error.message}`, { cause: thrown });
  }

  #broken(why: string): HildaError {
    return new HildaError('PLUGIN_FAILED', `${this.#who} ${why}`);
  }
}

interface Guards {
  guard<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T>;
  broken(why: string): HildaError;
}

/** The device with its abilities, no more and no fewer, each call guarded and each measurement checked. */
function checkedDevice(device: Device, { guard, broken }: Guards): Device {
  const never = new AbortController().signal;
  const guarded: { -readonly [K in keyof Device]: Device[K] } = {
    target: device.target,
    limits: device.limits ?? { memoryBytes: null, weightBytes: null },
    measure: async (network, protocol, options) => {
      const answer = await guard(options.signal, () => device.measure(network, protocol, options));
      const parsed = measurementSchema.safeParse(answer);
      if (!parsed.success) throw broken(`gave no measurement: ${z.prettifyError(parsed.error)}`);
      const differing = targetDifference(device.target, answer.target);
      if (differing.length > 0)
        throw broken(`gave a measurement of another target than the device's: ${differing.join(', ')}`);
      if (answer.latency === null && answer.counts === null)
        throw broken('gave a measurement without a latency and without counts');
      const { normalisedUs = 1, rawUs } = answer.latency ?? {};
      if (normalisedUs <= 0 || (rawUs && !(0 < rawUs.min && rawUs.min <= rawUs.median)))
        throw broken('gave a measurement whose latency is not positive');
      return answer;
    },
    close: () => guard(never, () => device.close()),
  };
  if (device.calibrate)
    guarded.calibrate = (options) => guard(options.signal, () => device.calibrate!(options));
  if (device.profile)
    guarded.profile = (network, options) => guard(options.signal, () => device.profile!(network, options));
  if (device.classify)
    guarded.classify = (network, examples, options) =>
      guard(options.signal, () => device.classify!(network, examples, options));
  if (device.run)
    guarded.run = (network, inputs, options) =>
      guard(options.signal, () => device.run!(network, inputs, options));
  if (device.deploy)
    guarded.deploy = (network, options) => guard(options.signal, () => device.deploy!(network, options));
  if (device.runDeployed)
    guarded.runDeployed = (deployment, inputs, options) =>
      guard(options.signal, () => device.runDeployed!(deployment, inputs, options));
  if (device.rehearse)
    guarded.rehearse = (network, options) => guard(options.signal, () => device.rehearse!(network, options));
  if (device.erase) guarded.erase = (options) => guard(options.signal, () => device.erase!(options));
  if (device.reset) guarded.reset = (options) => guard(options.signal, () => device.reset!(options));
  return guarded;
}

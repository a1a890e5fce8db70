import { asHildaError, HildaError } from '../../core/errors.js';
import type { OfferedDevice, Work } from '../../devices/agent/wire.js';
import type { CallOptions, Device, Driver, Sighting } from '../../devices/contract.js';
import type { Graph } from '../../network/graph.js';

interface Seen {
  readonly driver: Driver;
  readonly sighting: Sighting;
}

/** The devices of this machine, without leases and without a store: the daemon that the agent serves holds both. */
export class AgentBench {
  readonly #drivers: readonly Driver[];
  readonly #warn: (error: HildaError, message: string) => void;
  readonly #seen = new Map<string, Seen>();
  readonly #open = new Map<string, Device>();

  constructor(drivers: readonly Driver[], warn: (error: HildaError, message: string) => void) {
    this.#drivers = drivers;
    this.#warn = warn;
  }

  /** What is here now. A driver that fails does not hide the others' devices. */
  async look(signal: AbortSignal): Promise<OfferedDevice[]> {
    for (const driver of this.#drivers) {
      try {
        for await (const sighting of driver.discover({ signal }))
          this.#seen.set(sighting.id, { driver, sighting });
      } catch (thrown) {
        signal.throwIfAborted();
        this.#warn(asHildaError(thrown), `driver ${driver.kind} could not look for devices`);
      }
    }
    return [...this.#seen.values()].map(({ sighting: { id, kind, label, target, obstacle } }) => ({
      id,
      kind,
      label,
      target,
      obstacle,
    }));
  }

  /** Does one piece of work; a device that failed is opened afresh for the next one. */
  async perform(
    id: string,
    work: Work,
    { network, ...options }: CallOptions & { readonly network: Graph | null },
  ): Promise<unknown> {
    const device = await this.#device(id, options.signal);
    try {
      if (work.kind === 'calibrate') {
        const { known } = work;
        return (await device.calibrate?.({ ...options, ...(known && { known }) })) ?? unable(id, 'calibrate');
      }
      if (!network) throw new HildaError('MESSAGE_INVALID', `work of the kind ${work.kind} needs a network`);
      if (work.kind === 'profile') return (await device.profile?.(network, options)) ?? unable(id, 'profile');
      if (work.calibration) await device.calibrate?.({ ...options, known: work.calibration });
      return await device.measure(network, work.protocol, options);
    } catch (thrown) {
      const { code } = asHildaError(thrown);
      if (code === 'DEVICE_FAILED' || code === 'DEVICE_GONE') await this.#close(id);
      throw thrown;
    }
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#open.keys()].map((id) => this.#close(id)));
  }

  async #device(id: string, signal: AbortSignal): Promise<Device> {
    const open = this.#open.get(id);
    if (open) return open;
    const seen = this.#seen.get(id);
    if (!seen) throw new HildaError('DEVICE_GONE', `the agent has no device ${id}`);
    const device = await seen.driver.open(seen.sighting, { signal });
    this.#open.set(id, device);
    return device;
  }

  async #close(id: string): Promise<void> {
    const device = this.#open.get(id);
    this.#open.delete(id);
    await device
      ?.close()
      .catch((thrown: unknown) => this.#warn(asHildaError(thrown), `closing ${id} failed`));
  }
}

function unable(id: string, what: string): never {
  throw new HildaError('STATE_CONFLICT', `the device ${id} cannot ${what}`);
}

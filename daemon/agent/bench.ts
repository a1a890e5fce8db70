import { asHildaError, HildaError } from '../core/errors.js';
import type { OfferedDevice } from '../devices/agent/wire.js';
import type { CallOptions, Device, Driver, Sighting, Tensors } from '../devices/contract.js';
import { type Done, opened, perform } from '../devices/perform.js';
import type { SentWork } from '../devices/work.js';
import type { Graph } from '../network/graph.js';

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
  /** Work under way, by device. */
  readonly #busy = new Map<string, number>();
  #offered: readonly OfferedDevice[] = [];
  #looking: Promise<unknown> = Promise.resolve();

  constructor(drivers: readonly Driver[], warn: (error: HildaError, message: string) => void) {
    this.#drivers = drivers;
    this.#warn = warn;
  }

  /** What was here at the last look. */
  get offered(): readonly OfferedDevice[] {
    return this.#offered;
  }

  /** What is here now. A driver that fails does not hide the others' devices. */
  look(signal: AbortSignal): Promise<readonly OfferedDevice[]> {
    return this.#lookAt(this.#drivers, signal);
  }

  /** Follows the drivers that can tell of changes, until the signal aborts; calls back when there are other devices than before. */
  watch(signal: AbortSignal, onChange: () => void): void {
    const look = async (driver: Driver): Promise<void> => {
      const before = JSON.stringify(this.#offered);
      if (JSON.stringify(await this.#lookAt([driver], signal)) !== before) onChange();
    };
    for (const driver of this.#drivers) {
      const trouble = (thrown: unknown): void => {
        if (!signal.aborted)
          this.#warn(asHildaError(thrown), `driver ${driver.kind} could not follow its devices`);
      };
      driver.watch?.({ signal, onChange: () => void look(driver).catch(trouble) }).catch(trouble);
    }
  }

  /** One look at a time, so that the last one asked for says what is true last. */
  #lookAt(drivers: readonly Driver[], signal: AbortSignal): Promise<readonly OfferedDevice[]> {
    const look = this.#looking.then(() => this.#lookNow(drivers, signal));
    this.#looking = look.catch(() => {});
    return look;
  }

  async #lookNow(drivers: readonly Driver[], signal: AbortSignal): Promise<readonly OfferedDevice[]> {
    for (const driver of drivers) {
      try {
        const found = new Set<string>();
        for await (const sighting of driver.discover({ signal })) {
          this.#seen.set(sighting.id, { driver, sighting });
          found.add(sighting.id);
        }
        for (const [id, seen] of this.#seen)
          if (seen.driver === driver && !found.has(id)) {
            this.#seen.delete(id);
            await this.#closeIfGone(id);
          }
      } catch (thrown) {
        signal.throwIfAborted();
        this.#warn(asHildaError(thrown), `driver ${driver.kind} could not look for devices`);
      }
    }
    this.#offered = [...this.#seen.values()].map(
      ({ sighting: { id, kind, label, target, host, obstacle } }) => ({
        id,
        kind,
        label,
        target,
        host,
        obstacle,
      }),
    );
    return this.#offered;
  }

  /** Does one piece of work; a device that failed is opened afresh for the next one. */
  async perform(
    id: string,
    work: SentWork,
    {
      network,
      inputs,
      ...options
    }: CallOptions & { readonly network: Graph | null; readonly inputs: readonly Tensors[] },
  ): Promise<Done> {
    this.#busy.set(id, (this.#busy.get(id) ?? 0) + 1);
    try {
      const device = await this.#device(id, options.signal);
      if (work.kind === 'open') return { value: opened(device) };
      return await perform(device, work, { id, network, inputs, options });
    } catch (thrown) {
      const { code } = asHildaError(thrown);
      if (code === 'DEVICE_FAILED' || code === 'DEVICE_GONE') await this.#close(id);
      throw thrown;
    } finally {
      this.#busy.set(id, (this.#busy.get(id) ?? 1) - 1);
      await this.#closeIfGone(id);
    }
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#open.keys()].map((id) => this.#close(id)));
  }

  async #device(id: string, signal: AbortSignal): Promise<Device> {
    const seen = this.#seen.get(id);
    if (!seen) throw new HildaError('DEVICE_GONE', `the agent has no device ${id}`);
    const open = this.#open.get(id);
    if (open) return open;
    const device = await seen.driver.open(seen.sighting, { signal });
    this.#open.set(id, device);
    return device;
  }

  /** Once nothing runs on it, so that it is opened afresh should it come back. */
  async #closeIfGone(id: string): Promise<void> {
    if (!this.#seen.has(id) && !this.#busy.get(id)) await this.#close(id);
  }

  async #close(id: string): Promise<void> {
    const device = this.#open.get(id);
    this.#open.delete(id);
    await device
      ?.close()
      .catch((thrown: unknown) => this.#warn(asHildaError(thrown), `closing ${id} failed`));
  }
}

import { asHildaError, HildaError } from '../../core/errors.js';
import { abilities, type OfferedDevice, type Work } from '../../devices/agent/wire.js';
import type { CallOptions, Device, Driver, Sighting, Tensors } from '../../devices/contract.js';
import type { Graph } from '../../network/graph.js';

interface Seen {
  readonly driver: Driver;
  readonly sighting: Sighting;
}

/** What came of a piece of work: a value for JSON, and tensors where the work computes some. */
export interface Done {
  readonly value: unknown;
  readonly outputs?: Tensors;
}

/** The devices of this machine, without leases and without a store: the daemon that the agent serves holds both. */
export class AgentBench {
  readonly #drivers: readonly Driver[];
  readonly #warn: (error: HildaError, message: string) => void;
  readonly #seen = new Map<string, Seen>();
  readonly #open = new Map<string, Device>();
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
  async look(signal: AbortSignal): Promise<readonly OfferedDevice[]> {
    // One look at a time, so that the last one asked for says what is true last.
    const look = this.#looking.then(() => this.#look(signal));
    this.#looking = look.catch(() => {});
    return look;
  }

  /** Follows the drivers that can tell of changes, until the signal aborts; calls back when there are other devices than before. */
  watch(signal: AbortSignal, onChange: () => void): void {
    const look = async (): Promise<void> => {
      const before = JSON.stringify(this.#offered);
      if (JSON.stringify(await this.look(signal)) !== before) onChange();
    };
    for (const driver of this.#drivers) {
      const trouble = (thrown: unknown): void => {
        if (!signal.aborted)
          this.#warn(asHildaError(thrown), `driver ${driver.kind} could not follow its devices`);
      };
      driver.watch?.({ signal, onChange: () => void look().catch(trouble) }).catch(trouble);
    }
  }

  async #look(signal: AbortSignal): Promise<readonly OfferedDevice[]> {
    for (const driver of this.#drivers) {
      try {
        const found = new Set<string>();
        for await (const sighting of driver.discover({ signal })) {
          this.#seen.set(sighting.id, { driver, sighting });
          found.add(sighting.id);
        }
        for (const [id, seen] of this.#seen)
          if (seen.driver === driver && !found.has(id)) this.#seen.delete(id);
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
    work: Work,
    {
      network,
      inputs,
      ...options
    }: CallOptions & { readonly network: Graph | null; readonly inputs: readonly Tensors[] },
  ): Promise<Done> {
    const device = await this.#device(id, options.signal);
    try {
      return await perform(device, work, { id, network, inputs, options });
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
    const seen = this.#seen.get(id);
    // Opened afresh should it come back.
    if (!seen) await this.#close(id);
    const open = this.#open.get(id);
    if (open) return open;
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

/** Members are called on the device itself: a device may keep its own in `this`. Throws STATE_CONFLICT where it has none. */
async function perform(
  device: Device,
  work: Work,
  {
    id,
    network,
    inputs,
    options,
  }: {
    readonly id: string;
    readonly network: Graph | null;
    readonly inputs: readonly Tensors[];
    readonly options: CallOptions;
  },
): Promise<Done> {
  const given = (): Graph => {
    if (network) return network;
    throw new HildaError('MESSAGE_INVALID', `work of the kind ${work.kind} needs a network`);
  };
  const only = (): Tensors => {
    const [first] = inputs;
    if (first && inputs.length === 1) return first;
    throw new HildaError('MESSAGE_INVALID', `work of the kind ${work.kind} needs one set of inputs`);
  };
  switch (work.kind) {
    case 'abilities':
      return { value: abilities.filter((ability) => device[ability] !== undefined) };
    case 'calibrate': {
      if (!device.calibrate) return unable(id, work);
      const { known } = work;
      return { value: await device.calibrate({ ...options, ...(known && { known }) }) };
    }
    case 'profile':
      if (!device.profile) return unable(id, work);
      return { value: await device.profile(given(), options) };
    case 'run':
      if (!device.run) return unable(id, work);
      return { value: null, outputs: await device.run(given(), only(), options) };
    case 'deploy':
      if (!device.deploy) return unable(id, work);
      return { value: await device.deploy(given(), { ...options, calibration: inputs }) };
    case 'runDeployed':
      if (!device.runDeployed) return unable(id, work);
      return { value: null, outputs: await device.runDeployed(work.deployment, only(), options) };
    case 'reset':
      if (!device.reset) return unable(id, work);
      await device.reset(options);
      return { value: null };
    case 'measure':
      if (work.calibration) await device.calibrate?.({ ...options, known: work.calibration });
      return { value: await device.measure(given(), work.protocol, options) };
  }
}

function unable(id: string, { kind }: Work): never {
  throw new HildaError('STATE_CONFLICT', `the device ${id} of the agent has no ability "${kind}"`, {
    hint: 'Choose another device: `hilda devices list`.',
  });
}

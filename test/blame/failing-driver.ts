import { HildaError } from '../../daemon/core/errors.js';
import type { Device, Driver, Sighting } from '../../daemon/devices/contract.js';
import { FakeDriver } from '../../daemon/devices/fake/driver.js';
import { referenceNetworks } from '../../daemon/measure/references.js';
import { structureHash } from '../../daemon/network/canonical-text.js';
import type { Graph } from '../../daemon/network/graph.js';

const references = new Set(Object.values(referenceNetworks()).map(structureHash));

/** What a failing device or network makes of one measurement. */
export interface Moment {
  /** Of the device. */
  readonly id: string;
  /** From 1, over all openings. */
  readonly call: number;
  /** From 1, since the device was opened. */
  readonly sinceOpened: number;
  readonly isReference: boolean;
  readonly hash: string;
  readonly network: Graph;
}

/** A fake of which the test says at each measurement whether it fails, and how; it may leave for a while. */
export class FailingDriver extends FakeDriver {
  /** Throws, or lets the measurement go on. */
  before: (moment: Moment) => void = () => {};
  calls = 0;
  #away = false;
  #changed: () => void = () => {};

  /** Leaves during a run, and is back by the next look after `comeBack`. */
  leave(): never {
    this.#away = true;
    this.#changed();
    throw new HildaError('DEVICE_GONE', 'the page closed or lost its connection');
  }

  comeBack(): void {
    this.#away = false;
    this.#changed();
  }

  override async *discover(options: Parameters<FakeDriver['discover']>[0]): AsyncIterable<Sighting> {
    if (!this.#away) yield* super.discover(options);
  }

  override async open(sighting: Sighting, options: { signal: AbortSignal }): Promise<Device> {
    const device = await super.open(sighting, options);
    const measure = device.measure.bind(device);
    let sinceOpened = 0;
    return Object.assign(device, {
      measure: async (
        network: Graph,
        ...rest: [Parameters<Device['measure']>[1], Parameters<Device['measure']>[2]]
      ) => {
        const hash = structureHash(network);
        const moment = {
          id: sighting.id,
          call: ++this.calls,
          sinceOpened: ++sinceOpened,
          isReference: references.has(hash),
          hash,
          network,
        };
        this.before(moment);
        return measure(network, ...rest);
      },
    });
  }

  async watch({ onChange }: Parameters<NonNullable<Driver['watch']>>[0]): Promise<void> {
    this.#changed = onChange;
  }
}

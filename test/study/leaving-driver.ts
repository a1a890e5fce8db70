import { HildaError } from '../../daemon/core/errors.js';
import type { Device, Driver, Sighting } from '../../daemon/devices/contract.js';
import type { FakeRates } from '../../daemon/devices/fake/device.js';
import { FakeDriver } from '../../daemon/devices/fake/driver.js';

const unlike: Record<string, FakeRates> = {
  'fake-0': { macsPerUs: 200, bytesPerUs: 1e5, operatorUs: 0.1 },
  'fake-1': { macsPerUs: 1e5, bytesPerUs: 300, operatorUs: 0.1 },
};

/** Unlike fakes, two by default, which leave and come back when the test says so, before or during a measurement. */
export class LeavingDriver extends FakeDriver {
  readonly away = new Set<string>();
  /** Of each device, begun ones. */
  readonly measured = new Map<string, number>();
  /** What stands in the way of a device, by id. */
  readonly obstacles = new Map<string, string>();
  beforeOpen: (id: string) => void = () => {};
  before: (id: string, measurements: number) => void | Promise<void> = () => {};
  #changed: () => void = () => {};

  constructor(ids: readonly string[] = ['fake-0', 'fake-1'], ratesOf: Record<string, FakeRates> = unlike) {
    super({ ids, ratesOf });
  }

  leave(...ids: string[]): void {
    for (const id of ids) this.away.add(id);
    this.#changed();
  }

  return(...ids: string[]): void {
    for (const id of ids) this.away.delete(id);
    this.#changed();
  }

  override async *discover(options: Parameters<FakeDriver['discover']>[0]): AsyncIterable<Sighting> {
    for await (const sighting of super.discover(options))
      if (!this.away.has(sighting.id))
        yield { ...sighting, obstacle: this.obstacles.get(sighting.id) ?? null };
  }

  override async open(sighting: Sighting, options: { signal: AbortSignal }): Promise<Device> {
    this.beforeOpen(sighting.id);
    const device = await super.open(sighting, options);
    const measure = device.measure.bind(device);
    return Object.assign(device, {
      measure: async (...given: Parameters<Device['measure']>) => {
        const count = (this.measured.get(sighting.id) ?? 0) + 1;
        this.measured.set(sighting.id, count);
        await this.before(sighting.id, count);
        if (this.away.has(sighting.id)) throw new HildaError('DEVICE_GONE', 'unplugged');
        return measure(...given);
      },
    });
  }

  async watch({ onChange }: Parameters<NonNullable<Driver['watch']>>[0]): Promise<void> {
    this.#changed = onChange;
  }
}

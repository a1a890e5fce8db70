import { systemClock } from '../../../daemon/core/clock.js';
import type { Device, Driver, Sighting } from '../../../daemon/devices/contract.js';
import { FakeDriver } from '../../../daemon/devices/fake/driver.js';

/** Fakes of one host, one of which counts as an emulated board does: cycles and flash, and no time. */
export class CountingDriver extends FakeDriver {
  readonly #board: string;
  /** Of each device, begun ones. */
  readonly measured = new Map<string, number>();
  /** Measurements that ran beside another one. */
  overlaps = 0;
  before: (id: string, measurements: number) => void | Promise<void> = () => {};
  #underWay = 0;

  constructor({ ids, board }: { readonly ids: readonly string[]; readonly board: string }) {
    super({ ids, ratesOf: { [board]: { macsPerUs: 1e5, bytesPerUs: 300, operatorUs: 0.1 } } });
    this.#board = board;
  }

  override async *discover(options: Parameters<Driver['discover']>[0]): AsyncIterable<Sighting> {
    for await (const sighting of super.discover(options))
      yield {
        ...sighting,
        host: 'local',
        target: sighting.id === this.#board ? { ...sighting.target, tier: 'emulated' } : sighting.target,
      };
  }

  override async open(sighting: Sighting, options: { signal: AbortSignal }): Promise<Device> {
    const device = await super.open(sighting, options);
    const measure = device.measure.bind(device);
    const counted: Device['measure'] = async (...given) => {
      const taken = await measure(...given);
      const { activationPeakBytes: arenaBytes, weightBytes } = taken.memory;
      if (sighting.id !== this.#board || !taken.latency || arenaBytes === null) return taken;
      return {
        ...taken,
        latency: null,
        provenance: 'emulated',
        counts: {
          unit: 'cycles',
          total: Math.round(100 * taken.latency.normalisedUs),
          operators: [],
          arenaPeakBytes: arenaBytes,
          arenaPlannedBytes: arenaBytes,
          stackPeakBytes: 100,
          peakRamBytes: arenaBytes + 100,
          flashBytes: weightBytes,
          weights: 'real',
          firmwareBuild: 'f'.repeat(64),
        },
      };
    };
    return Object.assign(device, {
      measure: async (...given: Parameters<Device['measure']>) => {
        const count = (this.measured.get(sighting.id) ?? 0) + 1;
        this.measured.set(sighting.id, count);
        await this.before(sighting.id, count);
        if (this.#underWay++ > 0) this.overlaps++;
        try {
          // Long enough for another measurement to begin meanwhile.
          await systemClock.sleep(5, { signal: options.signal });
          return await counted(...given);
        } finally {
          this.#underWay--;
        }
      },
    });
  }
}

import type { Mishap } from '../devices/virtual/mishaps.js';
import type { BenchmarkCaseRecord, BenchmarkRunRecord } from '../store/benchmark-contract.js';
import type { DrawnUnit } from './draw-units.js';

/** Faults of one kind that were put in, by how they ended. */
export interface FaultEndings {
  readonly kind: Mishap['kind'];
  readonly faults: number;
  /** `no run`: no suite ran meanwhile. `measured`: all was measured all the same. Otherwise the codes of what failed. */
  readonly endings: Readonly<Record<string, number>>;
}

interface Fault {
  readonly mishap: Mishap;
  ending: string;
}

/** The faults of a simulation, held against the runs that they met. */
export class Faults {
  readonly #byDevice: ReadonlyMap<string, readonly Fault[]>;

  constructor(units: readonly DrawnUnit[], endMs: number) {
    this.#byDevice = new Map(
      units.map(({ id, mishaps }) => [
        id,
        mishaps.filter(({ fromMs }) => fromMs < endMs).map((mishap) => ({ mishap, ending: 'no run' })),
      ]),
    );
  }

  /** A run that ended, with all its cases. */
  meet({ createdMs, endedMs }: BenchmarkRunRecord, cases: readonly BenchmarkCaseRecord[]): void {
    const byDevice = new Map<string, BenchmarkCaseRecord[]>();
    for (const one of cases) {
      const device = one.deviceId ?? one.place;
      const known = byDevice.get(device);
      if (known) known.push(one);
      else byDevice.set(device, [one]);
    }
    for (const [device, own] of byDevice)
      for (const fault of this.#byDevice.get(device) ?? []) {
        const { fromMs, untilMs } = fault.mishap;
        if (fromMs > (endedMs ?? Number.POSITIVE_INFINITY) || untilMs <= createdMs) continue;
        const failed = own.find(({ state }) => state !== 'done');
        if (failed) fault.ending = failed.error?.code ?? failed.state;
        else if (fault.ending === 'no run') fault.ending = 'measured';
      }
  }

  endings(): FaultEndings[] {
    const kinds = new Map<Mishap['kind'], Record<string, number>>();
    for (const faults of this.#byDevice.values())
      for (const { mishap, ending } of faults) {
        const counts = kinds.get(mishap.kind) ?? {};
        counts[ending] = (counts[ending] ?? 0) + 1;
        kinds.set(mishap.kind, counts);
      }
    return [...kinds]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([kind, endings]) => ({
        kind,
        faults: Object.values(endings).reduce((sum, count) => sum + count, 0),
        endings,
      }));
  }
}

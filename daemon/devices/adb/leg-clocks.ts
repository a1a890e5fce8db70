import type { Json } from '../../core/json.js';
import type { Judgement } from '../../measure/verdict.js';
import { type CoreState, coresIn, judgeCaps } from './phone-state.js';
import { readSysfs } from './sysfs.js';

/** The clocks of the cores in use, as each run of a measurement ended. */
export class LegClocks {
  readonly #before: readonly CoreState[];
  readonly #ranges = new Map<number, { least: number; most: number; cap: number | null }>();
  #readings = 0;
  #judgement: Judgement | null = null;

  constructor(before: readonly CoreState[]) {
    this.#before = before;
  }

  /** Takes what `clocksCommand` printed; nothing where the phone tells nothing. */
  add(text: string): void {
    const cores = coresIn(readSysfs(text));
    if (cores.length === 0) return;
    this.#readings++;
    this.#judgement ??= judgeCaps(this.#before, cores);
    for (const { core, khz, capKhz } of cores) {
      if (khz === null) continue;
      const known = this.#ranges.get(core) ?? { least: khz, most: khz, cap: capKhz };
      this.#ranges.set(core, {
        least: Math.min(known.least, khz),
        most: Math.max(known.most, khz),
        cap: known.cap === null || capKhz === null ? known.cap : Math.min(known.cap, capKhz),
      });
    }
  }

  /** A cap that fell at any time voids the measurement, even where it is back at the end. */
  judgement(): Judgement | null {
    return this.#judgement;
  }

  summary(): { readonly [key: string]: Json } {
    return {
      readings: this.#readings,
      cores: [...this.#ranges].map(([core, { least, most, cap }]) => ({
        core,
        leastKhz: least,
        mostKhz: most,
        leastCapKhz: cap,
      })),
    };
  }
}

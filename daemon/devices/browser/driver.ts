import { type Clock, systemClock } from '../../core/clock.js';
import { HildaError } from '../../core/errors.js';
import type { Device, Driver, Sighting } from '../contract.js';
import { BrowserDevice } from './device.js';
import type { PageHub } from './hub.js';
import { type PageVariant, pageVariants } from './targets.js';

export interface BrowserDriverOptions {
  readonly hub: PageHub;
  readonly clock?: Clock;
  readonly timeoutMs?: number;
}

/** Finds the pages that joined by themselves; a page that another driver opened on its own phone is that driver's. */
export class BrowserDriver implements Driver {
  readonly kind = 'browser';
  readonly #options: BrowserDriverOptions;

  constructor(options: BrowserDriverOptions) {
    this.#options = options;
  }

  async *discover(): AsyncIterable<Sighting> {
    for (const { id, label, target, software } of this.#variants()) {
      const obstacle = software ? 'A software adapter computes on the CPU: no speed is taken from it.' : null;
      yield { id, kind: this.kind, label, target, host: null, obstacle, invited: true };
    }
  }

  async open(sighting: Sighting): Promise<Device> {
    const { hub, clock = systemClock, timeoutMs } = this.#options;
    const page = hub
      .pages()
      .find(({ id, about }) => pageVariants(id, about).some((v) => v.id === sighting.id));
    const variant = this.#variants().find(({ id }) => id === sighting.id);
    if (!page || !variant) throw new HildaError('DEVICE_GONE', `the page of ${sighting.id} is not here now`);
    const { target, software } = variant;
    return new BrowserDevice({
      page,
      target,
      software,
      clock,
      ...(timeoutMs !== undefined && { timeoutMs }),
    });
  }

  async watch({ signal, onChange }: Parameters<NonNullable<Driver['watch']>>[0]): Promise<void> {
    const stop = this.#options.hub.onChange(onChange);
    signal.addEventListener('abort', stop, { once: true });
  }

  #variants(): PageVariant[] {
    return this.#options.hub
      .pages()
      .filter(({ id }) => id.startsWith('browser-'))
      .flatMap(({ id, about }) => pageVariants(id, about));
  }
}

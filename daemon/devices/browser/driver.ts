import { type Clock, systemClock } from '../../core/clock.js';
import { HildaError } from '../../core/errors.js';
import type { Device, Driver, Sighting } from '../contract.js';
import type { OwnMachine } from '../own-machine.js';
import { BrowserDevice } from './device.js';
import type { PageHub } from './hub.js';
import { pageHost } from './page-host.js';
import type { PageSession } from './page-session.js';
import { type PageVariant, pageVariants } from './targets.js';

export interface BrowserDriverOptions {
  readonly hub: PageHub;
  readonly clock?: Clock;
  readonly timeoutMs?: number;
  /** By which a page on this machine is recognised; left out, each page is taken for a machine of its own. */
  readonly machine?: OwnMachine;
}

/** Finds the pages that joined by themselves; a page that another driver opened on its own phone is that driver's. */
export class BrowserDriver implements Driver {
  readonly kind = 'browser';
  readonly #options: BrowserDriverOptions;

  constructor(options: BrowserDriverOptions) {
    this.#options = options;
  }

  async *discover(): AsyncIterable<Sighting> {
    const { machine } = this.#options;
    for (const page of this.#pages()) {
      const host = machine ? pageHost(page, machine) : null;
      for (const { id, label, target, software } of variantsOf(page)) {
        const obstacle = software
          ? 'A software adapter computes on the CPU: no speed is taken from it.'
          : null;
        yield { id, kind: this.kind, label, target, host, obstacle, invited: true };
      }
    }
  }

  async open(sighting: Sighting): Promise<Device> {
    const { clock = systemClock, timeoutMs } = this.#options;
    const has = ({ id }: PageVariant): boolean => id === sighting.id;
    const page = this.#pages().find((one) => variantsOf(one).some(has));
    const variant = page && variantsOf(page).find(has);
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

  #pages(): PageSession[] {
    return this.#options.hub.pages().filter(({ id }) => id.startsWith('browser-'));
  }
}

const variantsOf = ({ id, about }: PageSession): PageVariant[] => pageVariants(id, about);

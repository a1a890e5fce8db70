import { HildaError } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import type { DevicePool } from '../fleet/device-pool.js';
import { pooledWith } from '../fleet/equivalence.js';
import type { DeviceRecord, Store } from '../store/contract.js';
import type { Dispatcher } from './dispatcher.js';
import { fits, formatSelector, isMeant, type Selector } from './selector.js';

export interface KnownDevicesOptions {
  readonly store: Store;
  readonly pool: Pick<DevicePool, 'presence' | 'onChange'>;
  readonly dispatcher: Dispatcher;
}

/** Keeps the stations up to date with the devices that the store knows, and says which devices a selector means. */
export class KnownDevices {
  readonly #options: KnownDevicesOptions;
  #learnt: Promise<void> = Promise.resolve();
  #stop: (() => void) | undefined;
  #stopped = false;

  constructor(options: KnownDevicesOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    await this.#learn();
    this.#stop = this.#options.pool.onChange(() => void this.#learn().catch(() => {}));
  }

  stop(): void {
    this.#stopped = true;
    this.#stop?.();
  }

  /**
   * The devices that a selector names; null where target or tags decide. Throws DEVICE_UNKNOWN where there is none. `mayWait`:
   * a device of the target or the tags may come later.
   */
  async named(
    selector: Selector,
    { mayWait = false }: { readonly mayWait?: boolean } = {},
  ): Promise<readonly DeviceId[] | null> {
    const { store, dispatcher } = this.#options;
    const { stations } = dispatcher;
    if ('device' in selector || 'pool' in selector) {
      const id = 'device' in selector ? selector.device : selector.pool;
      if (!stations.record(id)) {
        await store.device(id);
        await this.#learn();
      }
      return 'device' in selector ? [id] : pooledWith(id, store);
    }
    if (mayWait) return null;
    // What was changed before this request counts.
    await this.#learnt;
    if (!stations.all().some((record) => isMeant(selector, record))) await this.#learn();
    if (stations.all().some((record) => isMeant(selector, record))) return null;
    throw new HildaError('DEVICE_UNKNOWN', `no adopted device is ${formatSelector(selector)}`, {
      hint: 'Run `hilda devices list` to see devices, targets and tags.',
    });
  }

  /**
   * The adopted devices that a selector means, and with `quarantined` those in quarantine, those that are there first. Throws
   * DEVICE_UNKNOWN.
   */
  async meant(
    selector: Selector,
    { quarantined = false }: { readonly quarantined?: boolean } = {},
  ): Promise<DeviceId[]> {
    const { pool, dispatcher } = this.#options;
    const all = (): DeviceRecord[] => dispatcher.stations.all();
    await this.#learnt;
    const others = quarantined
      ? all().filter((record) => record.state === 'quarantined' && fits(selector, record))
      : [];
    const named = await this.named(selector, { mayWait: others.length > 0 });
    const ids =
      named ?? [...all().filter((record) => isMeant(selector, record)), ...others].map(({ id }) => id);
    const isAway = (id: DeviceId): number => (pool.presence(id).present ? 0 : 1);
    return [...ids].sort((a, b) => isAway(a) - isAway(b));
  }

  /** One look at a time; a caller that comes meanwhile gets what is true after its call. */
  #learn(): Promise<void> {
    const learn = this.#learnt.then(async () => {
      if (this.#stopped) return;
      const { store, dispatcher } = this.#options;
      dispatcher.stations.know(await store.devices());
      dispatcher.wakeAll();
    });
    this.#learnt = learn.catch(() => {});
    return learn;
  }
}

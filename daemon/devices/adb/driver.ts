import { asHildaError, HildaError } from '../../core/errors.js';
import { sha256Hex } from '../../core/hash.js';
import type { DeviceId } from '../../core/ids.js';
import type { Target } from '../../core/target.js';
import type { Device, Driver, Sighting } from '../contract.js';
import type { AdbDevice } from './adb-server.js';
import { readTopology, type Topology, topologyCommand } from './cores.js';
import { NativeDevice } from './native-device.js';
import { type NativeVariant, nativeVariants } from './native-variants.js';
import { obstacleOf } from './obstacles.js';
import { openBrowser } from './open-browser.js';
import type { AdbDriverOptions } from './options.js';
import type { Phone } from './phone.js';
import { openRunners } from './runners/open-runner.js';
import type { Runner } from './runners/runner.js';

const properties = [
  'ro.serialno',
  'ro.product.manufacturer',
  'ro.product.model',
  'ro.product.cpu.abi',
] as const;

/**
 * Phones that the adb server sees, by cable or network. Known by the serial number that the phone itself tells, which
 * stays the same by cable and by network. They run networks in their browser, which is opened on a page of the daemon
 * through a tunnel (nothing to install; secure, so in the isolated tier), or in a native runner that the user brings.
 */
export class AdbDriver implements Driver {
  readonly kind = 'adb';
  readonly #options: AdbDriverOptions;
  readonly #phones = new Map<DeviceId, { readonly phone: Phone; readonly variant: NativeVariant | null }>();
  /** By adb's own serial: who came that way last, while the daemon runs. */
  readonly #ways = new Map<string, Phone>();
  #runners: readonly Runner[] | null = null;

  constructor(options: AdbDriverOptions) {
    this.#options = options;
  }

  async *discover({ signal }: { readonly signal: AbortSignal }): AsyncIterable<Sighting> {
    const { adb } = this.#options;
    if (!(await adb.available({ signal }))) return;
    for (const device of await adb.devices({ signal })) {
      try {
        if (device.state === 'device') yield* await this.#sight(device, signal);
        else yield* this.#blocked(device, obstacleOf(device.state));
      } catch (thrown) {
        signal.throwIfAborted();
        const { code, message } = asHildaError(thrown);
        // It left between the list and the question; or it hangs, which must not hide the other phones.
        if (code !== 'DEVICE_GONE') yield* this.#blocked(device, message);
      }
    }
  }

  async open(sighting: Sighting, { signal }: { readonly signal: AbortSignal }): Promise<Device> {
    const known = this.#phones.get(sighting.id);
    if (!known) throw new HildaError('DEVICE_GONE', `the phone ${sighting.id} is not there now`);
    const { phone, variant } = known;
    const { adb, clock } = this.#options;
    if (variant?.obstacle) throw new HildaError('DEVICE_FAILED', `${variant.id}: ${variant.obstacle}`);
    if (variant)
      return new NativeDevice({
        adb,
        clock,
        serial: phone.serial,
        target: variant.target,
        runner: variant.runner,
        cores: variant.cores,
      });
    try {
      return await openBrowser(phone, this.#options, signal);
    } catch (thrown) {
      const error = asHildaError(thrown);
      if (error.code !== 'ADB_FAILED') throw error;
      throw new HildaError('DEVICE_FAILED', `the phone ${phone.id}: ${error.message}`, { cause: error });
    }
  }

  /** Follows the adb server's list; looks for a server again every few seconds where there is none. */
  async watch({ signal, onChange }: Parameters<NonNullable<Driver['watch']>>[0]): Promise<void> {
    const { adb, clock } = this.#options;
    while (!signal.aborted) {
      await adb.track(signal, onChange).catch(() => {});
      if (signal.aborted) return;
      await clock.sleep(3000, { signal }).catch(() => {});
    }
  }

  async #sight({ serial }: AdbDevice, signal: AbortSignal): Promise<Sighting[]> {
    const command = properties.map((name) => `getprop ${name}`).join('; ');
    const { stdout } = await this.#options.adb.shell(serial, command, { signal });
    const [own = '', maker = '', model = '', abi = ''] = stdout.split('\n').map((line) => line.trim());
    const phone: Phone = {
      serial,
      id: idOf(own || serial),
      label: [maker, model].filter(Boolean).join(' ') || serial,
      model: model || 'unnamed phone',
      abi,
    };
    // One way a phone: who comes by a former one later need not be it.
    for (const [way, { id }] of this.#ways) if (id === phone.id) this.#ways.delete(way);
    this.#ways.set(serial, phone);
    const { runners: paths = [], cores = [] } = this.#options;
    if (paths.length === 0) {
      this.#phones.set(phone.id, { phone, variant: null });
      return [this.#sighting(phone, null)];
    }
    this.#runners ??= await openRunners(paths);
    const topology = cores.length > 0 ? await this.#topology(serial, signal) : null;
    const variants = nativeVariants(phone, this.#runners, cores, topology);
    for (const variant of variants) this.#phones.set(variant.id, { phone, variant });
    return this.#native(phone, variants);
  }

  /** Variants of one phone share its processors. */
  #native(phone: Phone, variants: readonly NativeVariant[]): Sighting[] {
    const host = variants.length > 1 ? phone.id : null;
    return variants.map(({ id, label, target, obstacle }) => ({
      id,
      kind: this.kind,
      label,
      target,
      host,
      obstacle,
    }));
  }

  async #topology(serial: string, signal: AbortSignal): Promise<Topology> {
    return readTopology((await this.#options.adb.shell(serial, topologyCommand, { signal })).stdout);
  }

  /**
   * A phone that tells nothing about itself. On a cable adb's serial is its own; by network it is an address, so that until it trusts
   * this computer it can only be taken for who came by that address before, or for a stranger with a record of its own. Nothing
   * is measured on it in either case, so that no costs are mixed up.
   */
  #blocked({ serial }: AdbDevice, obstacle: string): Sighting[] {
    const label = isAddress(serial) ? `phone at ${serial}, unnamed until it trusts this computer` : serial;
    const phone: Phone = this.#ways.get(serial) ?? {
      serial,
      id: idOf(serial),
      label,
      model: 'unknown phone',
      abi: '',
    };
    const variants = [...this.#phones.values()].flatMap((known) =>
      known.phone.id === phone.id && known.variant ? [{ ...known.variant, obstacle }] : [],
    );
    return variants.length > 0 ? this.#native(phone, variants) : [this.#sighting(phone, obstacle)];
  }

  #sighting(phone: Phone, obstacle: string | null): Sighting {
    const { id, label } = phone;
    return { id, kind: this.kind, label, target: pageTarget(phone), host: null, obstacle };
  }
}

/** What is known before the browser tells more. */
const pageTarget = ({ model }: Phone): Target => ({
  model,
  clockHz: null,
  runtime: 'onnxruntime-web',
  runtimeVersion: 'of the page',
  provider: 'wasm',
  threads: 1,
  dtype: 'float32',
  tier: 'isolated',
});

const isAddress = (serial: string): boolean => /:\d+$/.test(serial);

const idOf = (serial: string): DeviceId => `phone-${sha256Hex(serial).slice(0, 6)}` as DeviceId;

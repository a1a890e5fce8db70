import { readFile } from 'node:fs/promises';
import type { Clock } from '../../core/clock.js';
import { asHildaError, HildaError } from '../../core/errors.js';
import { sha256Hex } from '../../core/hash.js';
import type { DeviceId } from '../../core/ids.js';
import type { Target } from '../../core/target.js';
import { BrowserDevice } from '../browser/device.js';
import type { PageHub } from '../browser/hub.js';
import { pageVariants } from '../browser/targets.js';
import type { Device, Driver, Sighting } from '../contract.js';
import type { JoinKeys } from '../join-keys.js';
import { type AdbDevice, type AdbServer, quoted } from './adb-server.js';
import { NativeDevice } from './native-device.js';
import { judgePhone, type PhoneState, parsePhoneState, phoneStateCommand } from './phone-state.js';

export interface AdbDriverOptions {
  readonly adb: AdbServer;
  readonly clock: Clock;
  readonly pages: PageHub;
  readonly keys: JoinKeys;
  /** The port on loopback that serves /join/ and its channel and nothing else, where tunnels end; known once it listens. */
  readonly joinPort: () => number;
  /** An onnxruntime_perf_test built for the phones: they then run it instead of their browser. */
  readonly runnerPath?: string;
  /** The port under which phones reach the daemon; 28080 by default. */
  readonly phonePort?: number;
  /** How long the browser may take to open the page; 30 s by default. */
  readonly openMs?: number;
}

interface Phone {
  readonly serial: string;
  readonly id: DeviceId;
  readonly label: string;
  readonly model: string;
  readonly abi: string;
}

const properties = [
  'ro.serialno',
  'ro.product.manufacturer',
  'ro.product.model',
  'ro.product.cpu.abi',
] as const;

const obstacles: Readonly<Record<string, string>> = {
  unauthorized:
    'The phone does not trust this computer yet. Unlock it and accept the question on its screen.',
  authorizing: 'The phone is being asked whether it trusts this computer. Accept the question on its screen.',
  offline: 'The phone is offline. Unplug it and plug it in again.',
  'no permissions': 'This user may not use the phone. Install the udev rules of adb and plug it in again.',
};

/**
 * Phones that the adb server sees, by cable or network. Known by the serial number that the phone itself tells, which
 * stays the same on whatever way it comes. They run networks in their browser, which is opened on a page of the daemon
 * through a tunnel (nothing to install; secure, so in the isolated tier), or in a native runner that the user brings.
 */
export class AdbDriver implements Driver {
  readonly kind = 'adb';
  readonly #options: AdbDriverOptions;
  readonly #phones = new Map<DeviceId, Phone>();
  /** By adb's own serial: who came that way last, while the daemon runs. */
  readonly #ways = new Map<string, Phone>();

  constructor(options: AdbDriverOptions) {
    this.#options = options;
  }

  async *discover({ signal }: { readonly signal: AbortSignal }): AsyncIterable<Sighting> {
    const { adb } = this.#options;
    if (!(await adb.available({ signal }))) return;
    for (const device of await adb.devices({ signal })) {
      try {
        yield device.state === 'device' ? await this.#sight(device, signal) : this.#blocked(device);
      } catch (thrown) {
        signal.throwIfAborted();
        const { code, message } = asHildaError(thrown);
        // It left between the list and the question; or it hangs, which must not hide the other phones.
        if (code !== 'DEVICE_GONE') yield { ...this.#blocked(device), obstacle: message };
      }
    }
  }

  async open(sighting: Sighting, { signal }: { readonly signal: AbortSignal }): Promise<Device> {
    const phone = this.#phones.get(sighting.id);
    if (!phone) throw new HildaError('DEVICE_GONE', `the phone ${sighting.id} is not there now`);
    try {
      return await (this.#options.runnerPath === undefined
        ? this.#openBrowser(phone, signal)
        : this.#openRunner(phone, sighting, this.#options.runnerPath));
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

  async #sight({ serial }: AdbDevice, signal: AbortSignal): Promise<Sighting> {
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
    this.#phones.set(phone.id, phone);
    // One way a phone: who comes by a former one later need not be it.
    for (const [way, { id }] of this.#ways) if (id === phone.id) this.#ways.delete(way);
    this.#ways.set(serial, phone);
    return this.#sighting(phone, null);
  }

  /**
   * A phone that tells nothing of itself. On a cable adb's serial is its own; by network it is an address, so that until it trusts
   * this computer it can only be taken for who came by that address before, or for a stranger with a record of its own. Nothing
   * is measured on it in either case, so that no costs are mixed up.
   */
  #blocked({ serial, state }: AdbDevice): Sighting {
    const label = isAddress(serial) ? `phone at ${serial}, unnamed until it trusts this computer` : serial;
    const phone: Phone = this.#ways.get(serial) ?? {
      serial,
      id: idOf(serial),
      label,
      model: 'unknown phone',
      abi: '',
    };
    const obstacle = obstacles[state] ?? `adb calls the phone "${state}". See \`adb devices\`.`;
    return this.#sighting(phone, obstacle);
  }

  #sighting(phone: Phone, obstacle: string | null): Sighting {
    const { id, label } = phone;
    return { id, kind: this.kind, label, target: this.#target(phone), host: null, obstacle };
  }

  /** What is known before the browser tells more. */
  #target({ model, abi }: Phone): Target {
    const native = this.#options.runnerPath !== undefined;
    return {
      model,
      clockHz: null,
      runtime: native ? 'onnxruntime' : 'onnxruntime-web',
      runtimeVersion: native ? `perf_test ${abi}`.trim() : 'of the page',
      provider: native ? 'cpu' : 'wasm',
      threads: 1,
      dtype: 'float32',
      tier: native ? 'native' : 'isolated',
    };
  }

  async #openBrowser(phone: Phone, signal: AbortSignal): Promise<Device> {
    const { adb, clock, pages, keys, joinPort, phonePort = 28_080, openMs = 30_000 } = this.#options;
    const { serial, id } = phone;
    await adb.reverse(serial, phonePort, joinPort(), { signal });
    const { token, pairing } = await keys.issue('page', id);
    pages.page(id)?.close('the phone opens the page afresh');
    // The query makes the address new: a browser would only scroll on a page that it shows already.
    const url = `http://localhost:${phonePort}/join/?visit=${pairing}#t=${token}`;
    const intent = ['am', 'start', '-a', 'android.intent.action.VIEW', '-d', url].map(quoted).join(' ');
    const { stdout, stderr, exitCode } = await adb.shell(serial, intent, { signal });
    if (exitCode !== 0 || /^Error/m.test(stdout + stderr))
      throw new HildaError(
        'DEVICE_FAILED',
        `the phone opens no page: ${(stderr || stdout).trim().slice(0, 300)}`,
        {
          hint: 'It needs a browser that opens web addresses.',
        },
      );
    const page = await pages.waitFor(id, { signal, timeoutMs: openMs }).catch((thrown: unknown) => {
      const error = asHildaError(thrown);
      if (error.code !== 'DEVICE_TIMEOUT') throw error;
      throw new HildaError('DEVICE_FAILED', `the browser of ${phone.label} did not open the page`, {
        hint: 'Unlock the phone, and choose a browser if it asks for one.',
        cause: error,
      });
    });
    const [variant] = pageVariants(id, page.about);
    if (!variant) throw new HildaError('INTERNAL', 'a page without a way to run networks');
    return new BrowserDevice({
      page,
      target: { ...variant.target, model: phone.model },
      software: variant.software,
      clock,
      surroundings: {
        read: async (options) =>
          parsePhoneState((await adb.shell(serial, phoneStateCommand, options)).stdout),
        judge: (before, after) => judgePhone(before as PhoneState, after as PhoneState),
      },
    });
  }

  async #openRunner(phone: Phone, { target }: Sighting, path: string): Promise<Device> {
    const { adb, clock } = this.#options;
    const runner = await readFile(path).catch((cause: unknown) => {
      throw new HildaError('NOT_FOUND', `the runner ${path} cannot be read`, { cause });
    });
    return new NativeDevice({ adb, serial: phone.serial, target, runner, clock });
  }
}

const isAddress = (serial: string): boolean => /:\d+$/.test(serial);

const idOf = (serial: string): DeviceId => `phone-${sha256Hex(serial).slice(0, 6)}` as DeviceId;

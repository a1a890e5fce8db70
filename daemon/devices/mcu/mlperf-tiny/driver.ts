import { SerialPort } from 'serialport';
import { openSerial, type Transport } from '../../../../firmware-bridge/link/index.js';
import { type Clock, systemClock } from '../../../core/clock.js';
import { HildaError } from '../../../core/errors.js';
import { sha256Hex } from '../../../core/hash.js';
import type { DeviceId } from '../../../core/ids.js';
import type { Target } from '../../../core/target.js';
import type { Device, Driver, Sighting } from '../../contract.js';
import { type BoardProfile, loadBoardProfiles } from '../board-profile.js';
import { type PortFacts, portIdentity } from '../port-identity.js';
import { MlperfTinyDevice } from './device.js';
import { MlperfTinyLine } from './protocol.js';

export interface MlperfTinyDriverOptions {
  readonly clock?: Clock;
  readonly listPorts?: () => Promise<readonly PortFacts[]>;
  readonly profiles?: ReadonlyMap<string, BoardProfile>;
  readonly openPort?: (path: string) => Promise<Transport>;
}

const baud = 115_200;

interface Found {
  readonly port: PortFacts;
  readonly name: string;
  readonly model: string;
}

/** Boards with any vendor's MLPerf Tiny firmware, on ports whose USB ids a board profile names. */
export class MlperfTinyDriver implements Driver {
  readonly kind = 'mlperf-tiny';
  readonly #options: MlperfTinyDriverOptions;
  /** By identity; null for a port where no such firmware answers. Asked once, until the port goes. */
  readonly #known = new Map<string, Found | null>();

  constructor(options: MlperfTinyDriverOptions = {}) {
    this.#options = options;
  }

  async *discover({ signal }: { readonly signal: AbortSignal }): AsyncIterable<Sighting> {
    const ports = await (this.#options.listPorts ?? (() => SerialPort.list()))();
    const present = new Set(ports.map(portIdentity));
    for (const identity of this.#known.keys()) if (!present.has(identity)) this.#known.delete(identity);
    const vendors = new Set(
      [...(this.#options.profiles ?? loadBoardProfiles()).values()].flatMap(({ usb }) =>
        usb.map(({ vendorId }) => vendorId),
      ),
    );
    for (const port of ports) {
      if (!port.vendorId || !vendors.has(port.vendorId.toLowerCase())) continue;
      const found = await this.#look(port, signal);
      if (found) {
        yield {
          id: idOf(port),
          kind: this.kind,
          label: `${found.name} (MLPerf Tiny, ${found.model})`,
          target: targetOf(found),
          host: null,
          obstacle: null,
        };
      }
    }
  }

  async open(sighting: Sighting, { signal }: { readonly signal: AbortSignal }): Promise<Device> {
    const found = [...this.#known.values()].find((entry) => entry && idOf(entry.port) === sighting.id);
    if (!found) throw new HildaError('DEVICE_FAILED', `the board ${sighting.id} is not there now`);
    const line = await this.#line(found.port.path);
    try {
      const { model } = await line.identify(signal);
      const { clock = systemClock } = this.#options;
      return new MlperfTinyDevice({ target: targetOf({ ...found, model }), model, line, clock });
    } catch (error) {
      await line.close();
      throw error;
    }
  }

  async #look(port: PortFacts, signal: AbortSignal): Promise<Found | null> {
    const identity = portIdentity(port);
    const known = this.#known.get(identity);
    if (known !== undefined) return known;
    let line: MlperfTinyLine | undefined;
    try {
      line = await this.#line(port.path);
      const found = { port, ...(await line.identify(signal)) };
      this.#known.set(identity, found);
      return found;
    } catch {
      signal.throwIfAborted();
      // A port in use is asked again next time; one that was silent is not.
      if (line) this.#known.set(identity, null);
      return null;
    } finally {
      await line?.close();
    }
  }

  async #line(path: string): Promise<MlperfTinyLine> {
    const { clock = systemClock, openPort = (at: string) => openSerial({ path: at, baud, clock }) } =
      this.#options;
    return new MlperfTinyLine(await openPort(path), clock);
  }
}

const idOf = (port: PortFacts): DeviceId =>
  `mlperf-tiny-${sha256Hex(portIdentity(port)).slice(0, 6)}` as DeviceId;

const targetOf = ({ name, model }: Pick<Found, 'name' | 'model'>): Target => ({
  model: name,
  clockHz: null,
  runtime: 'mlperf-tiny',
  runtimeVersion: model,
  provider: 'firmware',
  threads: 1,
  dtype: 'int8',
  tier: 'board',
});

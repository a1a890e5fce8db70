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
import { PortTurns } from '../port-turns.js';
import { defaultPortsMs, watchPorts } from '../port-watch.js';
import { MlperfTinyDevice } from './device.js';
import { MlperfTinyLine } from './protocol.js';

export interface MlperfTinyDriverOptions {
  readonly clock?: Clock;
  /** The system's serial ports; serialport's own list by default. */
  readonly listPorts?: () => Promise<readonly PortFacts[]>;
  readonly profiles?: ReadonlyMap<string, BoardProfile>;
  readonly openPort?: (path: string) => Promise<Transport>;
  /** How often the system's ports are listed for boards that came or left; 2 s by default. */
  readonly portsMs?: number;
  /** Shared with whoever else asks the same ports. */
  readonly turns?: PortTurns;
}

const baud = 115_200;
/** A board that was just plugged in may still be booting when it is asked for the first time. */
const mostAsked = 2;

interface Found {
  readonly port: PortFacts;
  readonly name: string;
  readonly model: string;
}

/** Boards with any vendor's MLPerf Tiny firmware, on ports whose USB ids a board profile names. */
export class MlperfTinyDriver implements Driver {
  readonly kind = 'mlperf-tiny';
  readonly #options: MlperfTinyDriverOptions;
  readonly #turns: PortTurns;
  /** By identity: a port that answered is asked once, until it goes or moves. */
  readonly #known = new Map<string, Found>();
  /** By identity, how often a port kept silent; it is then left alone until it goes. */
  readonly #silent = new Map<string, number>();

  constructor(options: MlperfTinyDriverOptions = {}) {
    this.#options = options;
    this.#turns = options.turns ?? new PortTurns();
  }

  async *discover({ signal }: { readonly signal: AbortSignal }): AsyncIterable<Sighting> {
    const ports = await this.#ports();
    const present = new Set(ports.map(portIdentity));
    for (const known of [this.#known, this.#silent])
      for (const identity of known.keys()) if (!present.has(identity)) known.delete(identity);
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
    // Wherever the board's port is now.
    const port = (await this.#ports()).find((one) => idOf(one) === sighting.id);
    const found = port && this.#known.get(portIdentity(port));
    if (!found) throw new HildaError('DEVICE_GONE', `the board ${sighting.id} is not there now`);
    const { clock = systemClock } = this.#options;
    const line = new MlperfTinyLine(
      await this.#turns.hold(port.path, this.kind, () => this.#open(port.path)),
      clock,
    );
    try {
      const { model } = await line.identify(signal);
      return new MlperfTinyDevice({ target: targetOf({ ...found, model }), model, line, clock });
    } catch (error) {
      await line.close();
      throw error;
    }
  }

  watch(options: Parameters<NonNullable<Driver['watch']>>[0]): Promise<void> {
    const { clock = systemClock, portsMs = defaultPortsMs, listPorts } = this.#options;
    return watchPorts({ ...options, listPorts, clock, everyMs: portsMs });
  }

  async #ports(): Promise<readonly PortFacts[]> {
    return (this.#options.listPorts ?? (() => SerialPort.list()))();
  }

  #open(path: string): Promise<Transport> {
    const { clock = systemClock, openPort = (at: string) => openSerial({ path: at, baud, clock }) } =
      this.#options;
    return openPort(path);
  }

  /** Undefined where no such firmware answers, or another driver has the port. */
  async #look(port: PortFacts, signal: AbortSignal): Promise<Found | undefined> {
    const identity = portIdentity(port);
    const known = this.#known.get(identity);
    if (known?.port.path === port.path) return known;
    if ((this.#silent.get(identity) ?? 0) >= mostAsked) return undefined;
    const found = await this.#turns.ask(port.path, this.kind, () => this.#ask(port, signal));
    if (found) this.#known.set(identity, found);
    return found;
  }

  async #ask(port: PortFacts, signal: AbortSignal): Promise<Found | undefined> {
    const { clock = systemClock } = this.#options;
    const identity = portIdentity(port);
    let line: MlperfTinyLine | undefined;
    try {
      line = new MlperfTinyLine(await this.#open(port.path), clock);
      return { port, ...(await line.identify(signal)) };
    } catch {
      signal.throwIfAborted();
      // A port in use is asked again next time.
      if (line) this.#silent.set(identity, (this.#silent.get(identity) ?? 0) + 1);
      return undefined;
    } finally {
      await line?.close();
    }
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

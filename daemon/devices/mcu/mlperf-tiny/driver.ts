import { listSerialPorts, openSerial, type Transport } from '../../../../firmware-bridge/link/index.js';
import { type Clock, systemClock } from '../../../core/clock.js';
import { asHildaError, HildaError } from '../../../core/errors.js';
import { sha256Hex } from '../../../core/hash.js';
import type { DeviceId } from '../../../core/ids.js';
import type { Target } from '../../../core/target.js';
import { withSerialFaults } from '../../../faults/edges/serial.js';
import type { Device, Driver, Sighting } from '../../contract.js';
import { AskedPorts, watchDue } from '../asked-ports.js';
import { type BoardProfile, loadBoardProfiles } from '../board-profile.js';
import { type PortFacts, portIdentity } from '../port-identity.js';
import { PortTurns } from '../port-turns.js';
import { defaultPortsMs, watchPorts } from '../port-watch.js';
import { MlperfTinyDevice } from './device.js';
import { bootMs, type Identity, MlperfTinyLine } from './protocol.js';

export interface MlperfTinyDriverOptions {
  readonly clock?: Clock;
  /** The system's serial ports; serialport's own list by default. */
  readonly listPorts?: () => Promise<readonly PortFacts[]>;
  readonly profiles?: ReadonlyMap<string, BoardProfile>;
  readonly openPort?: (path: string) => Promise<Transport>;
  /** How often the system's ports are listed for boards that came or left; 2 s by default. */
  readonly portsMs?: number;
  /** Shared with the other drivers that ask the same ports. */
  readonly turns?: PortTurns;
}

const mlperfTinyBaud = 115_200;
/** The first question is short, so that ports of others hold nobody up; the later ones outlast a slow boot. */
const firstPatienceMs = 2500;

interface Found extends Identity {
  readonly port: PortFacts;
}

/**
 * Boards with any vendor's MLPerf Tiny firmware, on ports whose USB ids a board profile names. A port on which nothing is
 * recognised twice is a sighting with an obstacle, and is asked again after 10 s, 20 s, up to 10 minutes.
 */
export class MlperfTinyDriver implements Driver {
  readonly kind = 'mlperf-tiny';
  readonly #options: MlperfTinyDriverOptions;
  readonly #clock: Clock;
  readonly #turns: PortTurns;
  /** By identity: a port that answered is asked once, until it goes or moves. */
  readonly #known = new Map<string, Found>();
  readonly #asked = new AskedPorts();

  constructor(options: MlperfTinyDriverOptions = {}) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#turns = options.turns ?? new PortTurns();
  }

  async *discover({ signal }: { readonly signal: AbortSignal }): AsyncIterable<Sighting> {
    const ports = await this.#ports();
    const present = new Set(ports.map(portIdentity));
    for (const [identity, { port }] of this.#known) if (!present.has(identity)) this.#forget(identity, port);
    this.#asked.keep(present);
    const vendors = new Set(
      [...(this.#options.profiles ?? loadBoardProfiles()).values()].flatMap(({ usb }) =>
        usb.map(({ vendorId }) => vendorId),
      ),
    );
    for (const port of ports) {
      if (!port.vendorId || !vendors.has(port.vendorId.toLowerCase())) continue;
      const found = await this.#look(port, signal);
      if (found) yield sightingOf(port, found, null);
      else if (this.#isStranger(port)) yield sightingOf(port, undefined, this.#obstacle(port));
    }
  }

  async open(sighting: Sighting, { signal }: { readonly signal: AbortSignal }): Promise<Device> {
    // Wherever the board's port is now.
    const port = (await this.#ports()).find((one) => idOf(one) === sighting.id);
    const found = port && this.#known.get(portIdentity(port));
    if (!found) throw new HildaError('DEVICE_GONE', `the board ${sighting.id} is not there now`);
    const line = new MlperfTinyLine(
      await this.#turns.hold(port.path, this.kind, () => this.#open(port.path)),
      this.#clock,
    );
    try {
      const { name, model } = await line.identify({ signal });
      if (name !== found.name || model !== found.model) {
        this.#forget(portIdentity(port), port);
        throw new HildaError('FIRMWARE_MISMATCH', `the board on ${port.path} is ${name} with ${model} now`, {
          hint: `It was ${found.name} with ${found.model}. Look again: hilda devices list --discover`,
        });
      }
      return new MlperfTinyDevice({ target: targetOf(found), model, line, clock: this.#clock });
    } catch (error) {
      await line.close();
      throw error;
    }
  }

  async watch(options: Parameters<NonNullable<Driver['watch']>>[0]): Promise<void> {
    const { portsMs = defaultPortsMs, listPorts } = this.#options;
    const timing = { clock: this.#clock, everyMs: portsMs };
    await Promise.all([
      watchPorts({ ...options, ...timing, listPorts }),
      watchDue(this.#asked, { ...options, ...timing }),
    ]);
  }

  async #ports(): Promise<readonly PortFacts[]> {
    return (this.#options.listPorts ?? listSerialPorts)();
  }

  #open(path: string): Promise<Transport> {
    const { openPort } = this.#options;
    return withSerialFaults(path, () =>
      openPort ? openPort(path) : openSerial({ path, baud: mlperfTinyBaud, clock: this.#clock }),
    );
  }

  #forget(identity: string, { path }: PortFacts): void {
    this.#known.delete(identity);
    this.#turns.recognised(path, null);
  }

  /** Whether neither this driver nor another one recognised the port, the first short question apart. */
  #isStranger(port: PortFacts): boolean {
    return this.#asked.times(portIdentity(port)) > 1 && this.#turns.recogniser(port.path) === null;
  }

  #obstacle(port: PortFacts): string {
    const reason = this.#asked.reason(portIdentity(port)) ?? 'nothing answers';
    return `No firmware was recognised on ${port.path}: ${reason}. It is asked again by itself; hilda doctor says more.`;
  }

  /** Undefined where no such firmware answers, or another driver has the port. */
  async #look(port: PortFacts, signal: AbortSignal): Promise<Found | undefined> {
    const identity = portIdentity(port);
    const known = this.#known.get(identity);
    if (known?.port.path === port.path) return known;
    if (known) this.#forget(identity, known.port);
    if (!this.#asked.due(identity, this.#clock.nowMs())) return undefined;
    const found = await this.#turns.ask(port.path, this.kind, () => this.#ask(port, signal));
    if (found) this.#known.set(identity, found);
    else if (this.#turns.recogniser(port.path) !== null) this.#asked.forget(identity);
    return found;
  }

  async #ask(port: PortFacts, signal: AbortSignal): Promise<Found | undefined> {
    const identity = portIdentity(port);
    let line: MlperfTinyLine | undefined;
    try {
      line = new MlperfTinyLine(await this.#open(port.path), this.#clock);
      const patienceMs = this.#asked.times(identity) === 0 ? firstPatienceMs : bootMs;
      const found = { port, ...(await line.identify({ signal }, patienceMs)) };
      this.#asked.forget(identity);
      this.#turns.recognised(port.path, this.kind);
      return found;
    } catch (thrown) {
      signal.throwIfAborted();
      const { message, hint } = asHildaError(thrown);
      const heard = line?.heard;
      const reason = line ? `${message}${heard ? `; it said "${heard}"` : ''}` : `${message}. ${hint}`;
      this.#asked.failed(identity, this.#clock.nowMs(), reason);
      return undefined;
    } finally {
      await line?.close();
    }
  }
}

const idOf = (port: PortFacts): DeviceId =>
  `mlperf-tiny-${sha256Hex(portIdentity(port)).slice(0, 6)}` as DeviceId;

const sightingOf = (port: PortFacts, found: Found | undefined, obstacle: string | null): Sighting => ({
  id: idOf(port),
  kind: 'mlperf-tiny',
  label: found
    ? `${found.name} (MLPerf Tiny, ${found.model})`
    : `unrecognised board on ${port.path} (USB ${port.vendorId}:${port.productId ?? '?'})`,
  target: targetOf(found ?? { name: 'unrecognised board', model: 'unknown' }),
  host: null,
  obstacle,
});

const targetOf = ({ name, model }: Identity): Target => ({
  model: name,
  clockHz: null,
  runtime: 'mlperf-tiny',
  runtimeVersion: model,
  provider: 'firmware',
  threads: 1,
  dtype: 'int8',
  tier: 'board',
});

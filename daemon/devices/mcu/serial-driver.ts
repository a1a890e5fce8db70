import {
  BoardSession,
  type Hello,
  listSerialPorts,
  openSerial,
  type SerialOptions,
  type Transport,
} from '../../../firmware-bridge/link/index.js';
import { type Clock, systemClock } from '../../core/clock.js';
import { asHildaError, HildaError } from '../../core/errors.js';
import { withSerialFaults } from '../../faults/edges/serial.js';
import type { Device, Driver, Sighting } from '../contract.js';
import { AskedPorts, watchDue } from './asked-ports.js';
import { BoardDevice } from './board-device.js';
import { BoardKeeper } from './board-keeper.js';
import { type BoardProfile, loadBoardProfiles } from './board-profile.js';
import { arenaLimit } from './board-program.js';
import { hasNumber, idOf, nameOf, sightingOf, targetOf, unknownTarget } from './board-sighting.js';
import { nonce } from './emulated-driver.js';
import type { FlashTools } from './flash-tools.js';
import { mayLeadTo, type PortFacts, portIdentity } from './port-identity.js';
import { PortTurns } from './port-turns.js';
import { defaultPortsMs, watchPorts } from './port-watch.js';
import { resetByProbe } from './reset-board.js';

export interface SerialDriverOptions {
  readonly clock?: Clock;
  /** The system's serial ports; serialport's own list by default. */
  readonly listPorts?: () => Promise<readonly PortFacts[]>;
  readonly openPort?: (options: SerialOptions) => Promise<Transport>;
  readonly profiles?: ReadonlyMap<string, BoardProfile>;
  /** How often boards in use are looked after; 2 s by default. */
  readonly pingMs?: number;
  /** A multiple of the boards' time-outs, for emulators behind ports; 1 by default. */
  readonly patience?: number;
  /** How often the system's ports are listed for boards that came or left; 2 s by default. */
  readonly portsMs?: number;
  /** Shared with the other drivers that ask the same ports. */
  readonly turns?: PortTurns;
  readonly onTrouble?: (error: HildaError) => void;
  /** The machine's programs that reset boards by their probe. */
  readonly tools?: FlashTools;
}

interface Found {
  readonly identity: string;
  readonly path: string;
  readonly hello: Hello;
  readonly profile: BoardProfile;
}

const defaultPingMs = 2000;
/** How long a board may boot before it answers: opening the port resets many. */
const bootMs = 8500;

/** Boards with hilda's firmware on serial ports. Ports of adapters that no profile names are left alone. */
export class SerialDriver implements Driver {
  readonly kind = 'mcu';
  readonly #options: SerialDriverOptions;
  readonly #turns: PortTurns;
  /** By identity: a port is asked once, until it goes or moves. */
  readonly #known = new Map<string, Found>();
  /** Silent ones. Each look asks them for a moment; now and then they are given the time of a slow boot. */
  readonly #asked = new AskedPorts();

  constructor(options: SerialDriverOptions = {}) {
    this.#options = options;
    this.#turns = options.turns ?? new PortTurns();
  }

  async *discover({ signal }: { readonly signal: AbortSignal }): AsyncIterable<Sighting> {
    const ports = await this.#ports();
    for (const [identity, { path }] of this.#known) {
      if (ports.some((port) => portIdentity(port) === identity)) continue;
      this.#known.delete(identity);
      this.#turns.recognised(path, null);
    }
    this.#asked.keep(new Set(ports.map(portIdentity)));
    for (const port of ports) {
      const candidates = this.#candidates(port);
      const [first] = candidates;
      if (!first) continue;
      try {
        const found = await this.#look(port, candidates, signal);
        if (!found || this.#isElsewhere(found)) continue;
        const { identity, hello, profile } = found;
        yield sightingOf(nameOf(identity, hello), profile, targetOf(hello, profile), null);
      } catch (thrown) {
        signal.throwIfAborted();
        const error = asHildaError(thrown);
        // A silent port is somebody else's; one that cannot be opened may be ours.
        if (error.details.unanswered === true) continue;
        yield sightingOf(portIdentity(port), first, unknownTarget(first), `${error.message}. ${error.hint}`);
      }
    }
  }

  async open(sighting: Sighting, { signal }: { readonly signal: AbortSignal }): Promise<Device> {
    const { clock = systemClock, pingMs = defaultPingMs, onTrouble } = this.#options;
    const found = [...this.#known.values()].find(
      (entry) => idOf(nameOf(entry.identity, entry.hello), entry.profile) === sighting.id,
    );
    if (!found) throw new HildaError('DEVICE_GONE', `the board ${sighting.id} is not there now`);
    const keeper = new BoardKeeper({
      open: (life) => this.#attach(found, life),
      clock,
      pingMs,
      onTrouble,
    });
    try {
      const { board } = await keeper.attach(signal);
      const { profile } = found;
      return new BoardDevice({
        target: targetOf(board, profile),
        limits: {
          memoryBytes: arenaLimit(profile, board),
          weightBytes: Math.min(board.slotBytes, profile.flashBytes),
        },
        profile,
        keeper,
        clock,
        provenance: board.tickUnit === 'cycles' ? 'measured' : 'emulated',
        unit: board.tickUnit === 'instructions' ? 'instructions' : 'cycles',
      });
    } catch (error) {
      await keeper.close();
      throw error;
    }
  }

  async watch(options: Parameters<NonNullable<Driver['watch']>>[0]): Promise<void> {
    const { clock = systemClock, portsMs = defaultPortsMs, listPorts } = this.#options;
    const timing = { clock, everyMs: portsMs };
    await Promise.all([
      watchPorts({ ...options, ...timing, listPorts }),
      watchDue(this.#asked, { ...options, ...timing }),
    ]);
  }

  async #ports(): Promise<readonly PortFacts[]> {
    return (this.#options.listPorts ?? listSerialPorts)();
  }

  /** Profiles whose USB ids fit the port; several boards share the vendor of one adapter. */
  #candidates(port: PortFacts): BoardProfile[] {
    const profiles = this.#options.profiles ?? loadBoardProfiles();
    return [...profiles.values()].filter((profile) => mayLeadTo(profile, port));
  }

  /** A board with two lines, at a port that was found before: one board is one device. */
  #isElsewhere({ identity, hello: { board, chipId } }: Found): boolean {
    if (!hasNumber(chipId)) return false;
    const first = [...this.#known.values()].find(
      ({ hello }) => hello.chipId === chipId && hello.board === board,
    );
    return first !== undefined && first.identity !== identity;
  }

  /** Undefined where another driver has the port. */
  async #look(
    port: PortFacts,
    candidates: readonly BoardProfile[],
    signal: AbortSignal,
  ): Promise<Found | undefined> {
    const known = this.#known.get(portIdentity(port));
    if (known?.path === port.path) return known;
    if (known) this.#turns.recognised(known.path, null);
    return this.#turns.ask(port.path, this.kind, () => this.#ask(port, candidates, signal));
  }

  /** Asks a port which board it is, at each baud rate of its candidates. */
  async #ask(port: PortFacts, candidates: readonly BoardProfile[], signal: AbortSignal): Promise<Found> {
    const { clock = systemClock } = this.#options;
    const identity = portIdentity(port);
    const patient = this.#asked.times(identity) > 0 && this.#asked.due(identity, clock.nowMs());
    const bauds = new Map(candidates.map((profile) => [profile.baud, profile]));
    let silent: unknown;
    for (const like of bauds.values()) {
      try {
        const session = await this.#session(await this.#open(port.path, like), like, signal, patient);
        const hello = session.board;
        await session.close();
        const profile = candidates.find(({ board }) => board === hello.board);
        if (!profile) {
          throw new HildaError('FIRMWARE_MISMATCH', `the board on ${port.path} calls itself ${hello.board}`, {
            hint: 'Its profile is missing under profiles/boards, or does not name this port.',
          });
        }
        const found = { identity, path: port.path, hello, profile };
        this.#known.set(identity, found);
        this.#asked.forget(identity);
        this.#turns.recognised(port.path, this.kind);
        return found;
      } catch (thrown) {
        if (asHildaError(thrown).details.unanswered !== true) throw thrown;
        silent = thrown;
      }
    }
    if (patient || this.#asked.times(identity) === 0)
      this.#asked.failed(identity, clock.nowMs(), asHildaError(silent).message);
    throw silent;
  }

  #open(path: string, { baud, lines }: BoardProfile): Promise<Transport> {
    const { clock = systemClock, openPort = openSerial } = this.#options;
    return withSerialFaults(path, () => openPort({ path, baud, lines, clock }));
  }

  /** Says hello; `patient`: to a board that may be starting. */
  async #session(
    transport: Transport,
    { baud }: BoardProfile,
    signal: AbortSignal,
    patient: boolean,
    expected?: Hello,
  ): Promise<BoardSession> {
    const { clock = systemClock, patience = 1 } = this.#options;
    const session = new BoardSession({ transport, clock, nonce, baud, patience, expected });
    try {
      await session.hello({ signal, bootMs: patient ? bootMs : 0 });
      return session;
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  /** Wherever the board's port is now. */
  async #attach({ identity, profile, hello }: Found, signal: AbortSignal): Promise<BoardSession> {
    const port = (await this.#ports()).find((candidate) => portIdentity(candidate) === identity);
    if (!port) {
      throw new HildaError('DEVICE_GONE', `${profile.label} is not plugged in`, {
        hint: 'Plug it in again: it is taken up by itself.',
        details: { lost: true },
      });
    }
    const transport = await this.#turns.hold(port.path, this.kind, () => this.#open(port.path, profile));
    const restart = transport.restart ?? resetByProbe(profile, port, this.#options.tools);
    try {
      const line = { ...transport, ...(restart && { restart }) };
      return await this.#session(line, profile, signal, true, hello);
    } catch (thrown) {
      // Another board: the next look finds it as a device of its own.
      if (asHildaError(thrown).details.another !== undefined) this.#known.delete(identity);
      throw thrown;
    }
  }
}

import { openSerial } from '../../../../firmware-bridge/link/index.js';
import type { Clock } from '../../../core/clock.js';
import { HildaError } from '../../../core/errors.js';
import { Xoshiro128 } from '../../../core/rng.js';
import { floatTensor, type Graph } from '../../../network/graph.js';
import { GraphBuilder } from '../../../network/graph-builder.js';
import type { Driver } from '../../contract.js';
import { type BoardProfile, findFirmware, loadBoardProfiles } from '../board-profile.js';
import { MlperfTinyDriver } from '../mlperf-tiny/driver.js';
import type { PortFacts } from '../port-identity.js';
import { PortTurns } from '../port-turns.js';
import { SerialDriver } from '../serial-driver.js';
import { systemProbe } from '../system-probe.js';
import { AlteredBoard } from './altered-frames.js';
import { emulatedBehind } from './emulated-behind.js';
import type { Chance, Fault, LinkKind } from './fault-list.js';
import { type BoardBehind, FaultyPort } from './faulty-port.js';
import { ScriptedMlperfBoard } from './scripted-mlperf-board.js';

/** A board behind a faulty port, and the shipped driver that finds and measures it there. */
export interface LineUnderTest {
  readonly link: LinkKind;
  readonly clock: Clock;
  readonly port: FaultyPort;
  readonly driver: Driver;
  readonly network: Graph;
  /** Microseconds that a measurement must find, where they are known; otherwise a sound measurement tells. */
  readonly truthUs: number | null;
  /** Lets a fault happen. False where this board or line cannot have it. */
  strike(fault: Fault, chance: Chance): boolean;
  /** Ends it. */
  heal(): void;
  close(): Promise<void>;
}

const usb = { vendorId: '0483', productId: '374b', serialNumber: '0123456789AB' };

/** y = relu(w * x), a 1 x 1 convolution: small, so that faults and not computing take the time. */
function smallNetwork(channels = 4, height = 8, width = 8): Graph {
  const builder = new GraphBuilder({ name: 'line test' });
  const x = builder.input('x', 'float32', [1, channels, height, width]);
  const weights = Float32Array.from({ length: channels * channels }, (_, i) => (i % 5) - 2);
  builder.output(
    builder.relu(builder.conv(x, builder.constant('w', floatTensor([channels, channels, 1, 1], weights)))),
  );
  return builder.build();
}

/** A scripted MLPerf Tiny board in this process; `clock` may be simulated. */
export function scriptedLine(seed: number, clock: Clock): LineUnderTest {
  const truthUs = 12_345;
  const rng = Xoshiro128.fromSeed(seed);
  const sound = { clock, rng: Xoshiro128.fromSeed(seed + 1), us: truthUs, jitter: 0.0005 };
  const board = new ScriptedMlperfBoard(sound);
  const port = new FaultyPort({ name: 'scripted MLPerf Tiny board', board, clock, rng });
  return {
    link: 'mlperf-tiny',
    clock,
    port,
    driver: new MlperfTinyDriver({
      clock,
      listPorts: listed(port, usb),
      openPort: () => port.open(),
    }),
    network: smallNetwork(),
    truthUs,
    strike: (fault, chance) => {
      if (!fault.line && !fault.mlperf) return false;
      board.behaviour = { ...sound, ...fault.mlperf?.(chance) };
      port.strike(fault.line?.(chance) ?? {});
      return true;
    },
    heal: () => {
      port.heal();
      board.behaviour = sound;
      board.cool();
    },
    close: async () => port.heal(),
  };
}

/** An emulated board with hilda's own firmware, which passes for one of silicon: it is measured as a real board is. */
export async function emulatedLine(
  name: string,
  seed: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<LineUnderTest> {
  const profile = loadBoardProfiles().get(name);
  const firmware = profile && findFirmware(name);
  if (!profile?.emulator || !firmware)
    throw new HildaError('DEVICE_UNKNOWN', `there is no emulated board ${name}`);
  const emulated = await emulatedBehind(profile.emulator, firmware.path, clock, signal);
  const rng = Xoshiro128.fromSeed(seed);
  const board = new AlteredBoard({
    board: emulated,
    clock,
    rng: Xoshiro128.fromSeed(seed + 1),
    asSilicon: true,
  });
  const port = new FaultyPort({ name: `emulated ${name}`, board, clock, rng });
  return hildaLine({ port, board, profile, clock, close: () => emulated.stop() });
}

export interface RealLineOptions {
  readonly link: LinkKind;
  /** Of MLPerf Tiny firmware, as it calls it. */
  readonly model?: string | undefined;
  /** Of its model's input; null: what the benchmark's model of that name takes. */
  readonly inputBytes?: number | null;
  readonly seed: number;
  readonly clock: Clock;
}

const realBaud = 115_200;
/** Bytes that the benchmark's models take (MLPerf Tiny 1.0): 32x32x3, 96x96x3, 49x10, and 640 of 4 bytes. */
const benchmarkInputs: ReadonlyMap<string, number> = new Map([
  ['ic01', 3072],
  ['vww01', 27_648],
  ['kws01', 490],
  ['ad01', 2560],
]);

/** A board of the user's on a real port. Faults of the line alone; it is not reset from here. */
export function realLine(path: string, options: RealLineOptions): LineUnderTest {
  const { link, model, inputBytes, seed, clock } = options;
  const rng = Xoshiro128.fromSeed(seed);
  const behind: BoardBehind = { open: () => openSerial({ path, baud: realBaud, clock }) };
  if (link === 'hilda') {
    const board = new AlteredBoard({ board: behind, clock, rng: Xoshiro128.fromSeed(seed + 1) });
    return hildaLine({ port: new FaultyPort({ name: path, board, clock, rng }), board, clock });
  }
  const port = new FaultyPort({ name: path, board: behind, clock, rng });
  const bytes = inputBytes ?? benchmarkInputs.get(model ?? '') ?? 256;
  return {
    link,
    clock,
    port,
    driver: new MlperfTinyDriver({ clock, listPorts: listed(port, usb), openPort: () => port.open() }),
    network: smallNetwork(1, 1, bytes),
    truthUs: null,
    strike: (fault, chance) => strikeLine(port, fault, chance, false),
    heal: () => port.heal(),
    close: async () => port.heal(),
  };
}

/** Which firmware answers on a port. Throws DEVICE_FAILED where none that hilda knows does. */
export async function recognise(
  path: string,
  signal: AbortSignal,
): Promise<Pick<RealLineOptions, 'link' | 'model'>> {
  const hilda = await systemProbe.ask(path, realBaud, signal);
  if ('board' in hilda) return { link: 'hilda' };
  const vendor = await systemProbe.askMlperfTiny(path, realBaud, signal);
  if ('name' in vendor) return { link: 'mlperf-tiny', model: vendor.model };
  throw new HildaError('DEVICE_FAILED', `no firmware that hilda knows answers on ${path}`, {
    hint: 'hilda doctor says why. Boards without hardware: mlperf-tiny, emulated-mps2-an386.',
  });
}

interface HildaLineOptions {
  readonly port: FaultyPort;
  readonly board: AlteredBoard;
  readonly clock: Clock;
  /** Of an emulated board; otherwise any shipped profile may fit. */
  readonly profile?: BoardProfile;
  readonly close?: () => Promise<void>;
}

function hildaLine({ port, board, clock, profile, close }: HildaLineOptions): LineUnderTest {
  // Hello tells which board it is, behind any adapter.
  const profiles = new Map(
    [...loadBoardProfiles()].map(([name, other]) => [name, { ...other, usb: [{ vendorId: usb.vendorId }] }]),
  );
  const driver = new SerialDriver({
    clock,
    listPorts: listed(port, usb),
    openPort: () => port.open(),
    profiles: profile
      ? new Map([[profile.board, { ...profile, usb: [{ vendorId: usb.vendorId }] }]])
      : profiles,
    turns: new PortTurns(),
    // An emulator shares the processor with those who wait for it.
    patience: profile ? 2 : 1,
    pingMs: 1000,
  });
  return {
    link: 'hilda',
    clock,
    port,
    driver,
    network: smallNetwork(),
    truthUs: null,
    strike: (fault, chance) => {
      if (!fault.line && !fault.frames) return false;
      board.strike(fault.frames?.(chance) ?? {});
      return strikeLine(port, fault, chance, board.reset !== undefined) || fault.frames !== undefined;
    },
    heal: () => {
      port.heal();
      board.strike({});
    },
    close: async () => {
      port.heal();
      // A reset under way would start an emulator that nobody stops.
      await port.settled();
      await close?.();
    },
  };
}

/** False where the fault is none of the line, or asks for a reset that the board cannot be given. */
function strikeLine(port: FaultyPort, fault: Fault, chance: Chance, canReset: boolean): boolean {
  if (!fault.line) return false;
  const faults = fault.line(chance);
  if (!canReset && (faults.resetsAtMs !== undefined || faults.bootOnOpenMs !== undefined)) return false;
  port.strike(faults);
  return true;
}

const listed =
  (port: FaultyPort, facts: Omit<PortFacts, 'path'>) => async (): Promise<readonly PortFacts[]> =>
    port.plugged ? [{ ...facts, path: port.name }] : [];

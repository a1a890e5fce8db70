import { bytesToHex } from '@noble/hashes/utils.js';

/** Versions of LINK.md that are understood. 2 brought progress, report, and a hello that ends what is under way. */
export const linkVersions = { oldest: 1, newest: 2 } as const;

/** Kinds, codes and payloads of LINK.md. */
export const kinds = {
  hello: 0x01,
  ping: 0x02,
  echo: 0x03,
  fill: 0x04,
  read: 0x05,
  write: 0x06,
  begin: 0x07,
  data: 0x08,
  finish: 0x09,
  commit: 0x0a,
  run: 0x0b,
  ticks: 0x0c,
  cancel: 0x0d,
  reset: 0x0e,
  erase: 0x0f,
  report: 0x10,
  loader: 0x11,
  log: 0x70,
  boot: 0x71,
  want: 0x72,
  progress: 0x73,
  reply: 0x80,
  error: 0xff,
} as const;

export const spaces = { arena: 0, pool: 1, input: 2 } as const;
export const slots = { ram: 0, deployed: 1, staged: 2 } as const;
export type Slot = keyof typeof slots;

/** By number; the names are LINK.md's. */
export const refusals = [
  'none',
  'session',
  'replayed',
  'unknown',
  'malformed',
  'busy',
  'range',
  'order',
  'checksum',
  'noProgram',
  'storage',
  'refused',
  'tooLarge',
  'cancelled',
  'timeLimit',
] as const;
export type Refusal = (typeof refusals)[number];

export const resetReasons = ['power', 'asked', 'watchdog', 'fault'] as const;
export type ResetReason = (typeof resetReasons)[number] | 'unknown';

/** What a board says about itself. Sizes in bytes, clocks in hertz. */
export interface Hello {
  readonly linkVersion: number;
  readonly abi: number;
  readonly coreHz: number;
  readonly ticksHz: number;
  /** Arena, ticks of the operators, and a program in RAM share these. */
  readonly workBytes: number;
  readonly poolBytes: number;
  /** 0: the pool was not filled yet. */
  readonly poolSeed: number;
  readonly slotBytes: number;
  readonly deployedBytes: number;
  readonly deployedCrc: number;
  readonly firmwareBytes: number;
  readonly cpuid: number;
  readonly maxPayloadBytes: number;
  readonly windowBytes: number;
  readonly resetReason: ResetReason;
  readonly slotsSurvivePower: boolean;
  readonly tickUnit: 'cycles' | 'timer' | 'instructions';
  /** The weight layout of ABI.md that this build's kernels want. */
  readonly nativeLayout: number;
  readonly faultAddress: number;
  readonly chipId: string;
  readonly buildHash: string;
  readonly board: string;
  /** How far the core's clock may be from `coreHz`, in millionths; null where the firmware does not say. */
  readonly clockPpm: number | null;
}

const helloBytes = 105;

/** Throws a RangeError when the payload is not one. */
export function parseHello(payload: Uint8Array): Hello {
  const view = viewOf(payload);
  const nameBytes = view.getUint8(helloBytes - 1);
  const name = payload.subarray(helloBytes, helloBytes + nameBytes);
  if (name.length !== nameBytes) throw new RangeError('hello is too short');
  const word = (offset: number): number => view.getUint32(offset, true);
  return {
    linkVersion: view.getUint16(0, true),
    abi: view.getUint16(2, true),
    coreHz: word(4),
    ticksHz: word(8),
    workBytes: word(12),
    poolBytes: word(16),
    poolSeed: word(20),
    slotBytes: word(24),
    deployedBytes: word(28),
    deployedCrc: word(32),
    firmwareBytes: word(36),
    cpuid: word(40),
    maxPayloadBytes: view.getUint16(44, true),
    windowBytes: view.getUint16(46, true),
    resetReason: resetReasons[view.getUint8(48)] ?? 'unknown',
    slotsSurvivePower: view.getUint8(49) === 1,
    tickUnit: (['cycles', 'timer', 'instructions'] as const)[view.getUint8(50)] ?? 'timer',
    nativeLayout: view.getUint8(51),
    faultAddress: word(52),
    chipId: bytesToHex(payload.subarray(56, 72)),
    buildHash: bytesToHex(payload.subarray(72, 104)),
    board: new TextDecoder().decode(name),
    clockPpm: payload.length >= helloBytes + nameBytes + 4 ? word(helloBytes + nameBytes) : null,
  };
}

export interface RefusalDetails {
  readonly refusal: Refusal;
  readonly operatorIndex: number;
  readonly detail: number;
}

export function parseRefusal(payload: Uint8Array): RefusalDetails {
  const view = viewOf(payload);
  return {
    refusal: refusals[view.getUint8(1)] ?? 'unknown',
    operatorIndex: view.getUint16(2, true),
    detail: view.getUint32(4, true),
  };
}

export interface ProgramFacts {
  readonly arenaBytes: number;
  readonly operators: number;
  /** Null when the program fetches its input in slices. */
  readonly inputOffset: number | null;
  readonly inputBytes: number;
  readonly outputOffset: number;
  readonly outputBytes: number;
}

export function parseProgramFacts(payload: Uint8Array): ProgramFacts {
  const view = viewOf(payload);
  const inputOffset = view.getUint32(16, true);
  return {
    arenaBytes: view.getUint32(8, true),
    operators: view.getUint32(12, true),
    inputOffset: inputOffset === 0xffffffff ? null : inputOffset,
    inputBytes: view.getUint32(20, true),
    outputOffset: view.getUint32(24, true),
    outputBytes: view.getUint32(28, true),
  };
}

export interface RunReport {
  /** Sum over the operators, in ticks of the board's counter. */
  readonly ticks: number;
  readonly operators: number;
  /** Bytes; 0 unless the run was painted. */
  readonly arenaPeakBytes: number;
  readonly stackPeakBytes: number;
  readonly outputCrc: number;
  readonly tickOverhead: number;
}

export function parseRunReport(payload: Uint8Array): RunReport {
  const view = viewOf(payload);
  const word = (offset: number): number => view.getUint32(offset, true);
  return {
    ticks: word(0) + word(4) * 2 ** 32,
    operators: word(8),
    arenaPeakBytes: word(12),
    stackPeakBytes: word(16),
    outputCrc: word(20),
    tickOverhead: word(24),
  };
}

/** What became of the run that ended last. */
export interface LastRun {
  readonly request: number;
  /** Null where it ended with a report. */
  readonly refused: RefusalDetails | null;
  readonly report: RunReport;
}

export function parseLastRun(payload: Uint8Array): LastRun {
  const view = viewOf(payload);
  const refusal = refusals[view.getUint8(2)] ?? 'unknown';
  return {
    request: view.getUint16(0, true),
    refused:
      refusal === 'none'
        ? null
        : { refusal, operatorIndex: view.getUint16(4, true), detail: view.getUint32(8, true) },
    report: parseRunReport(payload.subarray(12)),
  };
}

/** Little-endian numbers and bytes, one after another: `pack([1, 8], [40000, 16], bytes)`. */
export function pack(
  ...parts: readonly (readonly [value: number, bits: 8 | 16 | 32] | Uint8Array)[]
): Uint8Array {
  const sizes = parts.map((part) => (part instanceof Uint8Array ? part.length : part[1] / 8));
  const out = new Uint8Array(sizes.reduce((sum, size) => sum + size, 0));
  const view = viewOf(out);
  let at = 0;
  for (const [i, part] of parts.entries()) {
    if (part instanceof Uint8Array) out.set(part, at);
    else if (part[1] === 8) view.setUint8(at, part[0]);
    else if (part[1] === 16) view.setUint16(at, part[0], true);
    else view.setUint32(at, part[0], true);
    at += sizes[i] ?? 0;
  }
  return out;
}

export const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { WeightLayout } from '../../firmware-bridge/compiler/layout/format.js';
import type { ProgramCase } from './program-case.js';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
const firmware = join(root, 'firmware-bridge/firmware');
const driver = join(root, 'test/firmware/driver');
const sourcesIn = (folder: string): string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.c'))
    .map((name) => join(folder, name));
const warnings = ['-std=gnu11', '-fwrapv', '-Wall', '-Wextra', '-Werror', `-I${firmware}/include`];
const common = [
  ...sourcesIn(join(firmware, 'runtime')),
  ...sourcesIn(join(firmware, 'operators')),
  ...sourcesIn(driver),
];

export interface Core {
  readonly layout: WeightLayout;
  readonly flags: readonly string[];
  readonly machine: string;
  /** Where the machine has memory for code and for data; 0 and 0x20000000 by default. */
  readonly memory?: readonly [code: number, data: number];
}

/** M0+ code is run by the M3 machine: it is a subset, and QEMU has no M0 machine with memory to speak of. */
export const cores: Readonly<Record<string, Core>> = {
  m0plus: { layout: 'scalar', flags: ['-mcpu=cortex-m0plus'], machine: 'mps2-an385' },
  m4: { layout: 'dsp', flags: ['-mcpu=cortex-m4'], machine: 'mps2-an386' },
  m33: {
    layout: 'dsp',
    flags: ['-mcpu=cortex-m33+nofp'],
    machine: 'mps2-an505',
    memory: [0x10000000, 0x38000000],
  },
  m55: { layout: 'mve', flags: ['-mcpu=cortex-m55', '-mfloat-abi=hard'], machine: 'mps3-an547' },
};

export interface Outcome {
  readonly checkError: number;
  readonly checkIndex: number;
  readonly runError: number;
  readonly runIndex: number;
  readonly asks: number;
  readonly operatorsDone: number;
  readonly guardsWhole: boolean;
  readonly arena: Int8Array;
}

const folder = mkdtempSync(join(tmpdir(), 'hilda-firmware-'));
const wordsOfResult = 9;

/** What is missing of cross compiler and QEMU; CI installs both, and there the tests may fail but not be skipped. */
export function missingForCores(): string {
  if (process.env.CI) return '';
  const found = (name: string): boolean =>
    (process.env.PATH ?? '').split(':').some((path) => path !== '' && existsSync(join(path, name)));
  return ['arm-none-eabi-gcc', 'qemu-system-arm'].filter((name) => !found(name)).join(' and ');
}

export function buildNative(): string {
  const out = join(folder, 'native');
  const sanitize = [
    '-g',
    '-O1',
    '-fsanitize=address,undefined',
    '-fno-sanitize-recover=all',
    '-fno-omit-frame-pointer',
  ];
  execFileSync('gcc', [...warnings, ...sanitize, ...common, '-o', out], { stdio: 'inherit' });
  return out;
}

export function buildForCore(name: string, core: Core): string {
  const out = join(folder, `${name}.elf`);
  const semihosting = join(driver, 'semihosting');
  const flags = ['-mthumb', ...core.flags, '-O2', ...warnings, '-nostartfiles', '--specs=rdimon.specs'];
  const sources = [...common, ...sourcesIn(semihosting)];
  execFileSync('arm-none-eabi-gcc', [...flags, ...sources, ...linkingFor(core), '-o', out], {
    stdio: 'inherit',
  });
  return out;
}

/** Places a semihosted program where the core's machine has memory. */
export function linkingFor({ memory: [code, data] = [0, 0x20000000] }: Core): string[] {
  const placing = [`-Wl,--defsym=code_at=${code}`, `-Wl,--defsym=data_at=${data}`];
  const script = join(driver, 'semihosting', 'link.ld');
  return [...placing, `-T${script}`, '-Wl,--no-warn-rwx-segments', '-Wl,--gc-sections'];
}

export function writeCases(cases: readonly ProgramCase[], name: string): string {
  const path = join(folder, name);
  const parts: Uint8Array[] = [];
  for (const c of cases) {
    const words = new DataView(new ArrayBuffer(24));
    [c.program.length, c.arena.length, c.poolBytes, c.input.length, c.patience, 0].forEach((value, i) => {
      words.setUint32(4 * i, value, true);
    });
    parts.push(new Uint8Array(words.buffer), c.program, c.arena, c.input);
  }
  writeFileSync(path, Buffer.concat(parts));
  return path;
}

function readOutcomes(path: string, cases: readonly ProgramCase[]): Outcome[] {
  const bytes = readFileSync(path);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  return cases.map((c) => {
    const word = (i: number): number => view.getInt32(at + 4 * i, true);
    const outcome: Outcome = {
      checkError: word(0),
      checkIndex: word(1),
      runError: word(2),
      runIndex: word(3),
      asks: word(4),
      operatorsDone: word(5),
      guardsWhole: word(8) === 1,
      arena: new Int8Array(bytes.subarray(at + 4 * wordsOfResult, at + 4 * wordsOfResult + c.arena.length)),
    };
    at += 4 * wordsOfResult + c.arena.length;
    return outcome;
  });
}

export function runNative(binary: string, cases: readonly ProgramCase[]): Outcome[] {
  const [input, output] = [writeCases(cases, 'in'), join(folder, 'out')];
  execFileSync(binary, ['run', input, output], { stdio: 'inherit' });
  return readOutcomes(output, cases);
}

/** Runs an image to its end on an emulated core; gives what it wrote to standard output. */
export function runSemihosted(elf: string, core: Core, args: readonly string[] = []): string {
  const words = args.map((arg) => `,arg=${arg}`).join('');
  const quiet = ['-display', 'none', '-monitor', 'none', '-serial', 'none'];
  const semihosting = ['-semihosting-config', `enable=on,target=native${words}`];
  return execFileSync('qemu-system-arm', ['-M', core.machine, '-kernel', elf, ...quiet, ...semihosting], {
    encoding: 'utf8',
    timeout: 120_000,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

export function runOnCore(elf: string, core: Core, cases: readonly ProgramCase[]): Outcome[] {
  const [input, output] = [writeCases(cases, 'in'), join(folder, 'out')];
  runSemihosted(elf, core, ['driver', 'run', input, output]);
  return readOutcomes(output, cases);
}

export function fuzzNative(
  binary: string,
  cases: readonly ProgramCase[],
  seed: number,
  rounds: number,
): string {
  const input = writeCases(cases, 'fuzz-in');
  return execFileSync(binary, ['fuzz', input, String(seed), String(rounds)], { encoding: 'utf8' });
}

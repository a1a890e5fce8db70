import { basename, dirname, join } from 'node:path';
import { parse } from 'yaml';
import { HildaError } from '../../../core/errors.js';
import { readWholeFile } from '../../../data/file-bytes.js';
import { benchmarkModelRunner, perfTestRunner } from './known-runners.js';
import { ownRunner, ownRunnerSchema } from './own-runner.js';
import type { Runner, RunnerFile } from './runner.js';

/** Programs for phones start as every ELF file does. */
const elf = [0x7f, 0x45, 0x4c, 0x46];

export interface RunnerOptions {
  /** Paths of programs or specifications; with any, phones run them in place of their browser. */
  readonly runners?: readonly string[];
  /** Choices of cores, e.g. `big` or `4-7`; each is a device of its own. Left out, the phone chooses. */
  readonly cores?: readonly string[];
}

/** Reads runners. Throws what `openRunner` throws, and SPEC_INVALID for two of one name. */
export async function openRunners(paths: readonly string[]): Promise<Runner[]> {
  const runners: Runner[] = [];
  for (const path of paths) {
    const runner = await openRunner(path);
    if (runners.some(({ name }) => name === runner.name))
      throw new HildaError('SPEC_INVALID', `two runners are called ${runner.name}`, {
        hint: 'Give one of them another name in a specification: docs/devices.md.',
      });
    runners.push(runner);
  }
  return runners;
}

/**
 * Reads a runner: a specification (`.yaml`, `.json`) with the files that it names beside it, or a program, whose name or
 * content says which of the known ones it is. Throws NOT_FOUND and SPEC_INVALID.
 */
async function openRunner(path: string): Promise<Runner> {
  if (/\.(ya?ml|json)$/i.test(path)) return openOwnRunner(path);
  const file: RunnerFile = { name: plainName(path), bytes: await bytesAt(path) };
  return isBenchmarkModel(file) ? benchmarkModelRunner(file) : perfTestRunner(file);
}

async function openOwnRunner(path: string): Promise<Runner> {
  const text = new TextDecoder().decode(await bytesAt(path));
  let value: unknown;
  try {
    value = parse(text);
  } catch (cause) {
    throw new HildaError('SPEC_INVALID', `${path} is neither YAML nor JSON`, { cause });
  }
  const read = ownRunnerSchema.safeParse(value);
  if (!read.success) {
    const fields = read.error.issues.map((issue) => `${issue.path.join('.') || path}: ${issue.message}`);
    throw new HildaError('SPEC_INVALID', `the runner ${path}: ${fields.join('; ')}`, { details: { fields } });
  }
  const files: RunnerFile[] = [];
  for (const name of read.data.files) files.push({ name, bytes: await bytesAt(join(dirname(path), name)) });
  return ownRunner(read.data, files);
}

async function bytesAt(path: string): Promise<Uint8Array> {
  try {
    return await readWholeFile(path);
  } catch (cause) {
    throw new HildaError('NOT_FOUND', `the runner ${path} cannot be read`, {
      cause,
      hint: 'Name a program built for the phones, or a specification: docs/devices.md.',
    });
  }
}

const isBenchmarkModel = ({ name, bytes }: RunnerFile): boolean =>
  /benchmark_model/i.test(name) ||
  (!/perf_test/i.test(name) && Buffer.from(bytes).includes('Inference timings in us: '));

/** What a shell takes without a thought. */
const plainName = (path: string): string => basename(path).replace(/[^\w.+-]/g, '_') || 'runner';

/** ELF machine numbers (ELF header, e_machine) of the ABIs that Android has. */
const machines: ReadonlyMap<number, string> = new Map([
  [3, 'x86'],
  [40, 'armeabi-v7a'],
  [62, 'x86_64'],
  [183, 'arm64-v8a'],
  [243, 'riscv64'],
]);

/** The ABI that a program was built for; null for what is no ELF file. */
export function abiOf(bytes: Uint8Array): string | null {
  if (!elf.every((byte, i) => bytes[i] === byte) || bytes.byteLength < 20) return null;
  const machine = (bytes[18] as number) | ((bytes[19] as number) << 8);
  return machines.get(machine) ?? `machine ${machine}`;
}

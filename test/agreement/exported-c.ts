import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { exportC, exportedBytes } from '../../firmware-bridge/compiler/index.js';
import type { Int8Run } from './int8-stage.js';

const execute = promisify(execFile);

/** What the exported C of a network said: empty when its outputs are the reference's and no sanitizer spoke. */
export interface CVerdict {
  readonly name: string;
  readonly fault: string;
}

/** An exported network, as C in two parts: many networks have the same runtime, to the letter. */
export interface Exported {
  readonly name: string;
  readonly header: string;
  readonly runtime: string;
  /** Its program, with its weights, and the function that runs it. */
  readonly own: string;
  readonly input: Int8Array;
  readonly output: Int8Array;
}

/** All networks are exported under one name, so that those of the same operators share their runtime. */
const symbol = 'network';
const upper = symbol.toUpperCase();
const ownStart = '\nstatic const uint32_t program[]';

/**
 * A network as C with its input and answer; throws what `exportC` throws. With all operators its runtime is that of
 * every other network.
 */
export const exported = (
  name: string,
  { compiled, input, output }: Int8Run,
  operators: 'used' | 'all' = 'used',
): Exported => {
  const { header, source } = exportC(compiled, symbol, { operators });
  const at = source.indexOf(ownStart);
  if (at < 0) throw new Error(`the C of ${name} holds no program`);
  return {
    name,
    header,
    runtime: source.slice(0, at),
    own: source.slice(at),
    input: exportedBytes(compiled.inputs, input),
    output: exportedBytes(compiled.outputs, output),
  };
};

const sanitizers = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-fno-omit-frame-pointer'];
const flags = ['-std=gnu11', '-O0', '-w', ...sanitizers];

/**
 * Builds exported networks with gcc under address and undefined-behaviour sanitizers and runs each on an
 * arena of exactly its size that is full of rubbish. Networks of one runtime share a compiler run and, up to the first fault,
 * a process: these are what costs.
 */
export async function runExported(networks: readonly Exported[], perBuild = 100): Promise<CVerdict[]> {
  const folder = mkdtempSync(join(tmpdir(), 'hilda-exported-'));
  const groups = new Map<string, Exported[]>();
  for (const one of networks) groups.set(one.runtime, [...(groups.get(one.runtime) ?? []), one]);
  const batches = [...groups.values()].flatMap((group) =>
    Array.from({ length: Math.ceil(group.length / perBuild) }, (_, i) =>
      group.slice(i * perBuild, (i + 1) * perBuild),
    ),
  );
  const verdicts: CVerdict[] = [];
  const work = async (): Promise<void> => {
    for (let batch = batches.pop(); batch; batch = batches.pop())
      verdicts.push(...(await runBatch(batch, join(folder, `batch${batches.length}`))));
  };
  try {
    await Promise.all(Array.from({ length: availableParallelism() }, work));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return verdicts;
}

async function runBatch(batch: readonly Exported[], folder: string): Promise<CVerdict[]> {
  mkdirSync(folder);
  const [source, binary] = [join(folder, 'networks.c'), join(folder, 'run')];
  writeFileSync(join(folder, `${symbol}.h`), batch[0]?.header ?? '');
  writeFileSync(source, sourceOf(batch));
  try {
    await execute('gcc', [...flags, source, '-lm', '-o', binary]);
  } catch (error) {
    if (batch.length > 1) {
      const halves = batch.map((one, i) => runBatch([one], join(folder, `alone${i}`)));
      return (await Promise.all(halves)).flat();
    }
    return batch.map(({ name }) => ({
      name,
      fault: `does not build: ${(error as Error).message.slice(0, 500)}`,
    }));
  }
  return runAll(batch, binary);
}

/** Runs the networks one after the other in one process; it ends at a fault, and another goes on behind it. */
async function runAll(batch: readonly Exported[], binary: string): Promise<CVerdict[]> {
  const verdicts: CVerdict[] = [];
  while (verdicts.length < batch.length) {
    const from = verdicts.length;
    let [right, fault] = [batch.length - from, ''];
    try {
      await execute(binary, [String(from)]);
    } catch (error) {
      const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
      right = [...stdout.matchAll(/^ok$/gm)].length;
      fault = `${stdout.replaceAll(/^ok\n/gm, '')}${stderr}`.slice(0, 800) || (error as Error).message;
    }
    for (const { name } of batch.slice(from, from + right)) verdicts.push({ name, fault: '' });
    const failed = batch[from + right];
    if (failed) verdicts.push({ name: failed.name, fault });
    else if (fault) throw new Error(`after the last network: ${fault}`);
  }
  return verdicts;
}

/**
 * The runtime once, then the own part of each network under its own header, program and function told apart by a number. The
 * arena comes from the heap, so that the sanitizer guards its ends.
 */
const sourceOf = (batch: readonly Exported[]): string => `
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
${batch[0]?.runtime}
${batch.map(networkSource).join('\n')}
int main(int argc, char **argv) {
  int (*const cases[])(void) = {${batch.map((_, i) => `case_${i}`).join(', ')}};
  for (int i = argc > 1 ? atoi(argv[1]) : 0; i < ${batch.length}; i++) {
    if (cases[i]()) return 1;
    puts("ok");
    fflush(stdout);
  }
  return 0;
}
`;

function networkSource({ header, own, input, output }: Exported, i: number): string {
  const macros = [...header.matchAll(/^#define (\w+) .+$/gm)]
    .map(([line, macro]) => `#undef ${macro}\n${line}`)
    .join('\n');
  return `
${macros}
#define program program_${i}
#define ${symbol}_run ${symbol}_run_${i}
${own}
static int case_${i}(void) {
  static const int8_t given[] = {${input.join()}}, expected[] = {${output.join()}};
  _Static_assert(sizeof given == ${upper}_INPUT_BYTES && sizeof expected == ${upper}_OUTPUT_BYTES, "sizes");
  void *arena;
  if (posix_memalign(&arena, 16, ${upper}_ARENA_BYTES)) return 3;
  int8_t *input = malloc(sizeof given), *output = malloc(sizeof expected);
  memset(arena, 0x5a, ${upper}_ARENA_BYTES);
  memcpy(input, given, sizeof given);
  int error = 0;
  for (int again = 0; again < 2 && !error; again++) {
    memset(output, 0x33, sizeof expected);
    error = ${symbol}_run(arena, input, output);
    for (unsigned i = 0; !error && i < sizeof expected; i++)
      if (output[i] != expected[i]) {
        printf("run %d: byte %u is %d for %d\\n", again + 1, i, output[i], expected[i]);
        error = -1;
      }
  }
  if (error > 0) printf("error %d\\n", error);
  free(arena), free(input), free(output);
  return error != 0;
}
#undef program
#undef ${symbol}_run`;
}

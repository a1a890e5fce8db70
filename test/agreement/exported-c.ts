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

export interface Exported {
  readonly name: string;
  readonly symbol: string;
  readonly header: string;
  readonly source: string;
  readonly input: Int8Array;
  readonly output: Int8Array;
}

/** A network as C with its input and answer; throws what `exportC` throws. */
export const exported = (name: string, index: number, { compiled, input, output }: Int8Run): Exported => {
  const symbol = `n${index}`;
  return {
    name,
    symbol,
    ...exportC(compiled, symbol),
    input: exportedBytes(compiled.inputs, input),
    output: exportedBytes(compiled.outputs, output),
  };
};

const sanitizers = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-fno-omit-frame-pointer'];
const flags = ['-std=gnu11', '-O0', '-w', ...sanitizers];

/**
 * Builds exported networks with gcc under address and undefined-behaviour sanitizers and runs each in a process of its own, on
 * an arena of exactly its size that is full of rubbish. Many networks share one compiler run.
 */
export async function runExported(networks: readonly Exported[], perBuild = 12): Promise<CVerdict[]> {
  const folder = mkdtempSync(join(tmpdir(), 'hilda-exported-'));
  const batches = Array.from({ length: Math.ceil(networks.length / perBuild) }, (_, i) =>
    networks.slice(i * perBuild, (i + 1) * perBuild),
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
  for (const { symbol, header, source } of batch) {
    writeFileSync(join(folder, `${symbol}.h`), header);
    writeFileSync(join(folder, `${symbol}.c`), source);
  }
  writeFileSync(join(folder, 'main.c'), mainSource(batch));
  const binary = join(folder, 'run');
  const files = ['main.c', ...batch.map(({ symbol }) => `${symbol}.c`)].map((file) => join(folder, file));
  try {
    await execute('gcc', [...flags, ...files, '-lm', '-o', binary]);
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
  const verdicts: CVerdict[] = [];
  for (const [i, { name }] of batch.entries()) {
    let fault = '';
    try {
      await execute(binary, [String(i)]);
    } catch (error) {
      const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
      fault = `${stdout}${stderr}`.slice(0, 800) || (error as Error).message;
    }
    verdicts.push({ name, fault });
  }
  return verdicts;
}

/** One function a network. The arena comes from the heap, so that the sanitizer guards its ends. */
const mainSource = (batch: readonly Exported[]): string => `
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
${batch.map(({ symbol }) => `#include "${symbol}.h"`).join('\n')}
${batch.map(caseSource).join('\n')}
int main(int argc, char **argv) {
  switch (argc > 1 ? atoi(argv[1]) : -1) {
${batch.map(({ symbol }, i) => `  case ${i}: return run_${symbol}();`).join('\n')}
  }
  return 2;
}
`;

function caseSource({ symbol, input, output }: Exported): string {
  const upper = symbol.toUpperCase();
  return `
static int run_${symbol}(void) {
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
}`;
}

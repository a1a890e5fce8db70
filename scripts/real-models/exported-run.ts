import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type CompiledNetwork, exportC, exportedBytes } from '../../firmware-bridge/compiler/index.js';

const execute = promisify(execFile);

const main = `#include "net.h"
#include <stdio.h>
#include <stdlib.h>
int main(void) {
  void *arena;
  if (posix_memalign(&arena, 16, NET_ARENA_BYTES)) return 3;
  int8_t *input = malloc(NET_INPUT_BYTES), *output = malloc(NET_OUTPUT_BYTES);
  while (fread(input, 1, NET_INPUT_BYTES, stdin) == NET_INPUT_BYTES) {
    if (net_run(arena, input, output)) return 4;
    fwrite(output, 1, NET_OUTPUT_BYTES, stdout);
  }
  return 0;
}
`;

/**
 * What the exported C of a network answers, in the bytes of the reference: the same integers, many times as fast. Needs gcc,
 * which optimises for this machine.
 */
export async function runExportedOn(
  compiled: CompiledNetwork,
  inputs: readonly Int8Array[],
): Promise<Int8Array[]> {
  const folder = mkdtempSync(join(tmpdir(), 'hilda-real-model-'));
  try {
    const { header, source } = exportC(compiled, 'net');
    const [program, binary] = [join(folder, 'net.c'), join(folder, 'run')];
    writeFileSync(join(folder, 'net.h'), header);
    writeFileSync(program, source);
    writeFileSync(join(folder, 'main.c'), main);
    const flags = ['-std=gnu11', '-O3', '-march=native', '-w'];
    await execute('gcc', [...flags, program, join(folder, 'main.c'), '-lm', '-o', binary]);
    const given = Buffer.concat(inputs.map((input) => Buffer.from(exportedBytes(compiled.inputs, input))));
    const running = execute(binary, { encoding: 'buffer', maxBuffer: 2 ** 31 - 1 });
    running.child.stdin?.end(given);
    const { stdout } = await running;
    const each = stdout.length / inputs.length;
    return inputs.map((_, i) => {
      const answer = Int8Array.from(stdout.subarray(i * each, (i + 1) * each), (byte) => (byte << 24) >> 24);
      return exportedBytes(compiled.outputs, answer);
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

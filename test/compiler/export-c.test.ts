import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import type { Graph } from '../../daemon/network/graph.js';
import { type CompilerBoard, compile, exportC } from '../../firmware-bridge/compiler/index.js';
import { type Core, cores, linkingFor, missingForCores, runSemihosted } from '../firmware/runtime-driver.js';
import { answer, randomInput } from './compiled-case.js';
import { mixedConvolutions, projected, severalPorts, tokens } from './networks.js';

/** An exported network is compiled as a user would, run on emulated cores, and answers what the reference does. */
const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
const semihosting = join(root, 'test/firmware/driver/semihosting');
const folder = mkdtempSync(join(tmpdir(), 'hilda-export-'));
const board: CompilerBoard = {
  weightLayout: 'scalar',
  arenaBytes: 2 ** 18,
  flashBytes: 2 ** 20,
  weightsAt: 'flash',
  poolBytes: 0,
  fetchesInput: false,
};

const mainSource = (networks: readonly { name: string; input: Int8Array; output: Int8Array }[]): string => `
#include <stdio.h>
#include <string.h>
${networks.map(({ name }) => `#include "${name}.h"`).join('\n')}
static uint8_t arena[65536] __attribute__((aligned(16)));
static int wrong;
${networks
  .map(
    ({ name, input, output }) => `
static void run_${name}(void) {
  static const int8_t input[] = {${input.join()}}, expected[] = {${output.join()}};
  int8_t output[sizeof expected];
  _Static_assert(sizeof input == ${name.toUpperCase()}_INPUT_BYTES && sizeof expected == ${name.toUpperCase()}_OUTPUT_BYTES, "sizes");
  memset(arena, 0x5a, sizeof arena);
  if (${name}_run(arena, input, output) || memcmp(output, expected, sizeof expected)) wrong++;
  for (unsigned i = ${name.toUpperCase()}_ARENA_BYTES; i < sizeof arena; i++) if (arena[i] != 0x5a) wrong++;
}`,
  )
  .join('\n')}
int main(void) {
${networks.map(({ name }) => `  run_${name}();`).join('\n')}
  printf("wrong %d\\n", wrong);
  return wrong;
}
`;

t.setTimeout(900_000);

t.test(
  'compiles and runs on M0+ and M4',
  { skip: missingForCores() && `needs ${missingForCores()}` },
  async (t) => {
    for (const coreName of ['m0plus', 'm4']) {
      const core = cores[coreName] as Core;
      const here = join(folder, coreName);
      execFileSync('mkdir', [here]);
      const graphs: [string, Graph][] = [
        ['convolutions', mixedConvolutions(4)],
        ['tokens', tokens(4)],
        ['ports', severalPorts(4)],
        ['projected', projected(4)],
      ];
      const made: { name: string; input: Int8Array; output: Int8Array }[] = [];
      for (const [name, graph] of graphs) {
        const compiled = await compile(graph, {
          board: { ...board, weightLayout: core.layout },
          weights: 'real',
          goal: 'smallest',
        });
        const { header, source } = exportC(compiled, name);
        t.equal(
          /\[\w+_GENERATE\] = /.test(source),
          name === 'projected',
          'the generator comes along where it is used',
        );
        writeFileSync(join(here, `${name}.h`), header);
        writeFileSync(join(here, `${name}.c`), source);
        if (name === 'ports')
          for (const part of ['INPUT2_OFFSET', 'OUTPUT0_SCALE', 'OUTPUT1_ZERO_POINT'])
            t.match(header, `PORTS_${part} `, 'each port has its place and its quantisation');
        t.notMatch(
          source,
          /hilda_|#include "(?!(tokens|convolutions|ports|projected)\.h)/,
          `${name} stands alone`,
        );
        const bytes = new DataView(compiled.program.buffer).getUint32(36, true);
        const input = randomInput(Xoshiro128.fromSeed(4), bytes);
        made.push({ name, input, output: answer(compiled, input) });
      }
      writeFileSync(join(here, 'main.c'), mainSource(made));
      const extra = readdirSync(semihosting)
        .filter((file) => file.endsWith('.c'))
        .map((file) => join(semihosting, file));
      const elf = join(here, 'exported.elf');
      execFileSync(
        'arm-none-eabi-gcc',
        [
          '-mthumb',
          ...core.flags,
          '-O2',
          '-std=gnu11',
          '-Wall',
          '-Wextra',
          '-Werror',
          '-nostartfiles',
          '--specs=rdimon.specs',
          ...made.map(({ name }) => join(here, `${name}.c`)),
          join(here, 'main.c'),
          ...extra,
          ...linkingFor(core),
          '-o',
          elf,
        ],
        { stdio: 'inherit' },
      );
      const said = runSemihosted(elf, core);
      t.match(said, 'wrong 0', coreName);
    }
  },
);

t.test('refuses what cannot be exported', async (t) => {
  const compiled = await compile(tokens(4), { board: { ...board, poolBytes: 65_536 }, weights: 'pool' });
  t.throws(() => exportC(compiled, 'tokens'), { code: 'USAGE_INVALID' });
  const real = await compile(tokens(4), { board, weights: 'real' });
  t.throws(() => exportC(real, '4tokens'), { code: 'USAGE_INVALID' });
});

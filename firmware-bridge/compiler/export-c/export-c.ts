import { fileURLToPath } from 'node:url';
import { HildaError } from '../../../daemon/core/errors.js';
import type { DType } from '../../../daemon/network/graph.js';
import type { CompiledNetwork } from '../compile.js';
import { code, type WeightLayout } from '../layout/format.js';
import { elementForm } from '../lower/element-forms.js';
import { type Port, viewBytes } from '../lower/operators.js';
import { describeLayout } from '../lower/port-layout.js';
import { readHeader, readRecord } from '../reference/program.js';
import { allOperators, amalgamate } from './amalgamate.js';

export interface ExportOptions {
  /** Folder of the firmware's sources. */
  readonly firmware?: string;
  /** `all`: the runtime holds every operator, so that it is the same for every network of this name. */
  readonly operators?: 'used' | 'all';
}

export interface ExportedSource {
  /** NAME.h */
  readonly header: string;
  /** NAME.c: the runtime, the operators used, the program with its weights. */
  readonly source: string;
}

/** From dist/firmware-bridge/compiler/export-c to the firmware's sources. */
const firmwareFolder = fileURLToPath(new URL('../../../../firmware-bridge/firmware', import.meta.url));

const layoutNames: Readonly<Record<WeightLayout, string>> = {
  rows: 'any core',
  scalar: 'Cortex-M0+ and M3',
  dsp: 'Cortex-M4, M7 and M33',
  mve: 'Cortex-M55 and M85',
};

/**
 * A compiled network as C source for a user's own firmware: one file and its header, nothing else needed but a C11
 * compiler (GCC or Clang). Two exported networks may stand in one firmware: all names begin with `name`.
 * Throws USAGE_INVALID for names that C does not take, and for programs of pool weights or with a fetched input.
 */
export function exportC(
  compiled: CompiledNetwork,
  name: string,
  { firmware = firmwareFolder, operators = 'used' }: ExportOptions = {},
): ExportedSource {
  if (!/^[a-z][a-z0-9_]*$/.test(name))
    throw new HildaError('USAGE_INVALID', `${name} is no name in C: lower-case letters, digits and _ are`);
  const { program, board } = compiled;
  const header = readHeader(program);
  if (header.poolBytes > 0 || header.inputOffset === undefined)
    throw new HildaError(
      'USAGE_INVALID',
      'only a network with its own weights and an input of one piece can be exported',
    );
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const used = new Set(Array.from({ length: header.operatorCount }, (_, i) => readRecord(view, i).code));
  for (const group of [code.loop, code.window, code.fetch]) used.delete(group);
  const codes = operators === 'all' ? allOperators : used;
  const upper = name.toUpperCase();
  const renamed = (text: string): string =>
    text.replaceAll(/\bhilda_/g, `${name}_`).replaceAll(/\bHILDA_/g, `${upper}_RT_`);
  const words = Array.from({ length: Math.ceil(program.length / 4) }, (_, i) => {
    const bytes = [0, 1, 2, 3].map((k) => program[4 * i + k] ?? 0);
    return `0x${bytes
      .reverse()
      .map((byte) => byte.toString(16).padStart(2, '0'))
      .join('')}u`;
  });
  const lines = Array.from(
    { length: Math.ceil(words.length / 10) },
    (_, i) => `  ${words.slice(10 * i, 10 * i + 10).join(', ')},`,
  );
  const layout = board.weightLayout;
  const check =
    layout === 'rows'
      ? ''
      : `_Static_assert(HILDA_NATIVE_LAYOUT == HILDA_LAYOUT_${layout.toUpperCase()}, "exported for ${layoutNames[layout]}: export again for this core");\n`;
  const source = `/* Made by hilda. A quantised network with its runtime, for ${layoutNames[layout]}: see ${name}.h. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("wrapv") /* accumulators wrap; other compilers: -fwrapv */
#endif
#include "${name}.h"

#include <string.h>

${renamed(amalgamate(firmware, codes) + check)}
static const uint32_t program[] __attribute__((aligned(16))) = {
${lines.join('\n')}
};

int ${name}_run(void *arena, const int8_t *input, int8_t *output) {
  const ${name}_memory memory = {.arena = arena, .arena_bytes = ${upper}_ARENA_BYTES};
  const ${name}_hooks hooks = {0};
  ${name}_report report;
  memcpy((uint8_t *)arena + ${header.inputOffset}u, input, ${upper}_INPUT_BYTES);
${flips(compiled.inputs, '(uint8_t *)arena', header.inputOffset)}  const int error = ${name}_runtime(&memory, (const uint8_t *)program, hooks, &report);
  if (error) return error;
  memcpy(output, (const uint8_t *)arena + ${header.outputOffset}u, ${upper}_OUTPUT_BYTES);
${flips(compiled.outputs, '(uint8_t *)output', 0)}  return 0;
}
`;
  return { header: headerText(name, compiled), source: tellApart(source, name) };
}

/** The bytes that an exported network takes or gives for those of its ports: uint8 as it is, not less 128. */
export function exportedBytes(ports: readonly Port[], bytes: Int8Array): Int8Array {
  const out = bytes.slice();
  let at = 0;
  for (const { dtype, view } of ports) {
    const end = at + viewBytes(view);
    if (dtype === 'uint8') for (let i = at; i < end; i++) out[i] = (out[i] as number) ^ 0x80;
    at = end;
  }
  return out;
}

/** Bytes of type uint8 pass as they are: the runtime has them less 128. */
function flips(ports: readonly Port[], memory: string, offset: number): string {
  const lines = ports
    .filter(({ dtype }) => dtype === 'uint8')
    .map(({ view }) => {
      // A port that stands alone lies at the offset itself.
      const at = offset + (ports.length > 1 ? view.offset : 0);
      return `  for (uint32_t i = 0; i < ${viewBytes(view)}u; i++) (${memory})[${at}u + i] ^= 0x80u;\n`;
    });
  return lines.join('');
}

/** The runtime's own entry point makes way for the network's, and stays within the file. */
const tellApart = (source: string, name: string): string =>
  source.replaceAll(new RegExp(`\\b(int ${name}_)run(\\(const ${name}_memory)`, 'g'), '$1runtime$2');

/** How a port of an integer type passes; undefined for one of real numbers. */
function integerText(dtype: DType): string | undefined {
  const form = elementForm(dtype);
  if (form === 'whole') return `${dtype}, passed as int32_t, little endian`;
  return form === 'byte' ? `${dtype}, the bytes as they are` : undefined;
}

function headerText(
  name: string,
  { arenaBytes, flashBytes, macs, input, output, inputs, outputs }: CompiledNetwork,
): string {
  const upper = name.toUpperCase();
  const describe = (role: string, { name: value, dims, layout, quantisation, view, dtype }: Port): string => {
    const integers = integerText(dtype);
    const meaning = integers ?? 'real = scale * (q - zero point)';
    const order = describeLayout({ dims, layout });
    const scale = `#define ${upper}_${role}_SCALE ${Math.fround(quantisation.scale).toExponential(8)}f
#define ${upper}_${role}_ZERO_POINT (${quantisation.zeroPoint})
`;
    return `
/* ${value}: [${dims}], ${order}; ${meaning}. */
#define ${upper}_${role}_BYTES ${viewBytes(view)}
${integers ? '' : scale}`;
  };
  const port = (role: string, whole: Port, parts: readonly Port[]): string => {
    if (parts.length === 1) return describe(role, whole);
    const each = parts.map(
      (part, i) =>
        `${describe(`${role}${i}`, part)}#define ${upper}_${role}${i}_OFFSET ${part.view.offset}\n`,
    );
    return `\n#define ${upper}_${role}_BYTES ${viewBytes(whole.view)}\n${each.join('')}`;
  };
  return `/* Made by hilda: ${(macs / 1e6).toFixed(3)} million multiply-accumulates, ${flashBytes} bytes of program, int8. */
#ifndef ${upper}_H
#define ${upper}_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Memory for activations, aligned to 16 bytes; free for other use between runs. */
#define ${upper}_ARENA_BYTES ${arenaBytes}
${port('INPUT', input, inputs)}${port('OUTPUT', output, outputs)}
/* Runs the network. Returns 0. Not re-entrant on one arena. */
int ${name}_run(void *arena, const int8_t *input, int8_t *output);

#ifdef __cplusplus
}
#endif

#endif
`;
}

import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { code } from '../layout/format.js';

const linear = ['linear.c', 'linear-scalar.c', 'linear-dsp.c', 'linear-dsp-loops.c', 'linear-mve.c'];
const pools = ['pool.c', 'pool-channels.c'];

/** The firmware's sources of each operator, by code. Those for other cores fall away in the preprocessor. */
const sourcesByCode: Readonly<Record<number, readonly string[]>> = {
  [code.linear]: linear,
  [code.conv2d]: ['convolution.c', ...linear],
  [code.depthwise]: ['depthwise.c', 'depthwise-scalar.c', 'depthwise-dsp.c', 'depthwise-mve.c'],
  [code.matmul]: ['matmul.c', 'matmul-scalar.c', 'matmul-dsp.c', 'matmul-mve.c'],
  [code.softmax]: ['softmax.c'],
  [code.layerNorm]: ['layer-norm.c'],
  [code.table]: ['elementwise.c'],
  [code.add]: ['elementwise.c'],
  [code.multiply]: ['elementwise.c'],
  [code.averagePool]: pools,
  [code.maxPool]: pools,
  [code.transpose]: ['move.c'],
  [code.copy]: ['move.c'],
  [code.fill]: ['move.c'],
  [code.generate]: ['generate.c'],
  [code.argMax]: ['arg-max.c'],
  [code.lstmCell]: ['recurrent.c'],
  [code.gruCell]: ['recurrent.c'],
  [code.gather]: ['gather.c'],
};

/** The line of the interpreter's table of an operator. */
const entryPoints: Readonly<Record<number, string>> = {
  [code.linear]: '[HILDA_LINEAR] = hilda_linear_run',
  [code.conv2d]: '[HILDA_CONV2D] = hilda_convolution_run',
  [code.depthwise]: '[HILDA_DEPTHWISE] = hilda_depthwise_run',
  [code.matmul]: '[HILDA_MATMUL] = hilda_matmul_run',
  [code.softmax]: '[HILDA_SOFTMAX] = hilda_softmax_run',
  [code.layerNorm]: '[HILDA_LAYER_NORM] = hilda_layer_norm_run',
  [code.table]: '[HILDA_TABLE] = hilda_table_run',
  [code.add]: '[HILDA_ADD] = hilda_add_run',
  [code.multiply]: '[HILDA_MULTIPLY] = hilda_multiply_run',
  [code.averagePool]: '[HILDA_AVERAGE_POOL] = hilda_average_pool_run',
  [code.maxPool]: '[HILDA_MAX_POOL] = hilda_max_pool_run',
  [code.transpose]: '[HILDA_TRANSPOSE] = hilda_transpose_run',
  [code.copy]: '[HILDA_COPY] = hilda_copy_run',
  [code.fill]: '[HILDA_FILL] = hilda_fill_run',
  [code.generate]: '[HILDA_GENERATE] = hilda_generate_run',
  [code.argMax]: '[HILDA_ARG_MAX] = hilda_arg_max_run',
  [code.lstmCell]: '[HILDA_LSTM_CELL] = hilda_lstm_cell_run',
  [code.gruCell]: '[HILDA_GRU_CELL] = hilda_gru_cell_run',
  [code.gather]: '[HILDA_GATHER] = hilda_gather_run',
};

/** Codes of every operator that has sources of its own. */
export const allOperators: ReadonlySet<number> = new Set(Object.keys(sourcesByCode).map(Number));

/**
 * The runtime and the operators with these codes as one piece of C: each header once, names that two files keep to
 * themselves told apart.
 */
export function amalgamate(firmware: string, codes: ReadonlySet<number>): string {
  const operators = new Set([...codes].flatMap((used) => sourcesByCode[used] ?? []));
  const files = [
    join(firmware, 'runtime/run.c'),
    ...[...operators].map((name) => join(firmware, 'operators', name)),
  ];
  const owners = new Map<string, number>();
  for (const file of files)
    for (const name of privateNames(readFileSync(file, 'utf8')))
      owners.set(name, (owners.get(name) ?? 0) + 1);
  const seen = new Set<string>();
  const parts = files.map((file) => {
    const text = readFileSync(file, 'utf8');
    const shared = privateNames(text).filter((name) => (owners.get(name) ?? 0) > 1);
    const stem = basename(file, '.c').replaceAll('-', '_');
    const own = shared.reduce(
      (source, name) => source.replaceAll(new RegExp(`\\b${name}\\b`, 'g'), `${stem}_${name}`),
      text,
    );
    const macros = [...text.matchAll(/^#define (\w+)/gm)].map(([, name]) => `#undef ${name}\n`);
    return inlined(own, file, seen) + macros.join('');
  });
  const table = [...codes].sort((a, b) => a - b).flatMap((used) => entryPoints[used] ?? []);
  const dispatch = `int (*const hilda_dispatch[HILDA_CODE_END])(const hilda_call *) = {\n${table.map((line) => `    ${line},\n`).join('')}};\n`;
  return `${parts.join('\n')}\n${dispatch}`;
}

/** Functions and types that a source file defines for itself. */
function privateNames(text: string): string[] {
  const functions = [...text.matchAll(/^(?:static|HILDA_INLINE)\b[^;={(]*?\b(\w+)\s*\(/gm)].map(
    ([, name]) => name,
  );
  const types = [...text.matchAll(/^typedef struct (\w+) \{/gm)].map(([, name]) => name);
  return [...new Set([...functions, ...types])].filter((name): name is string => name !== undefined);
}

/** The text with its own headers in place, each where it is first asked for. */
function inlined(text: string, file: string, seen: Set<string>): string {
  return text.replaceAll(/^#include "([^"]+)"\n/gm, (_, name: string) => {
    const path = join(dirname(file), name);
    if (seen.has(path)) return '';
    seen.add(path);
    return inlined(readFileSync(path, 'utf8'), path, seen);
  });
}

import { z } from 'zod';
import { chainSpace, chosen, cutAtDepth, type Part } from '../chain-space.js';
import type { Space } from '../contract.js';
import type { Emitter } from './emitter.js';
import { distinct, namedFile, size } from './file-fields.js';

const rules = ['linear', 'gated', 'delta'] as const;

/**
 * Linear recurrent memory (the linear instance of Miras, Behrouz et al. 2025): each layer keeps a matrix S, writes a
 * value under a key and reads with a query: o = S q. The network is one step: states come in and go out, so memory does
 * not grow with the length of the sequence. Rules: `linear` S + v k' (Katharopoulos et al. 2020), `gated` a S + v k'
 * with a learnt decay, `delta` S + b (v - S k) k' (Schlag, Irie and Schmidhuber 2021, equation 24).
 */
export const recurrenceFileSchema = z.strictObject({
  ...namedFile('recurrence'),
  /** Values a step. */
  width: size,
  classes: size,
  depths: distinct(z.number().int().min(1).max(24)),
  /** Side of the state matrix. */
  states: distinct(size),
  rules: z
    .array(z.enum(rules))
    .min(1)
    .refine((values) => new Set(values).size === values.length, 'the same choice twice'),
  mlpRatios: distinct(z.number().gt(0).max(16)),
});

export type RecurrenceFile = z.infer<typeof recurrenceFileSchema>;

export function recurrenceSpace(file: RecurrenceFile): Space {
  const maxDepth = Math.max(...file.depths);
  const at = (values: readonly number[], pick: (...v: number[]) => number): number =>
    values.indexOf(pick(...values));
  const byCost = file.rules.map((rule) => rules.indexOf(rule));
  return chainSpace({
    id: file.id,
    dims: [
      { name: 'depth', choices: file.depths },
      ...Array.from({ length: maxDepth }, (_, i) => [
        { name: `layer${i + 1}.rule`, choices: file.rules },
        { name: `layer${i + 1}.state`, choices: file.states },
        { name: `layer${i + 1}.mlp`, choices: file.mlpRatios },
      ]).flat(),
    ],
    normal: cutAtDepth(file.depths, 0, 1, 3),
    size: file.depths.reduce(
      (sum, depth) => sum + (file.rules.length * file.states.length * file.mlpRatios.length) ** depth,
      0,
    ),
    input: () => [1, file.width],
    parts: (indices) => [
      ...Array.from({ length: chosen(file.depths, indices[0]) }, (_, i): Part[] => {
        const rule = chosen(file.rules, indices[1 + 3 * i]);
        const state = chosen(file.states, indices[2 + 3 * i]);
        const ratio = chosen(file.mlpRatios, indices[3 + 3 * i]);
        return [
          { key: `${rule} ${state}`, emit: (e, x) => emitMemory(e, x, i + 1, rule, state) },
          {
            key: `mlp ${ratio}`,
            emit: (e, x) => e.mlp(x, `layer${i + 1}.mlp`, Math.round(file.width * ratio)),
          },
        ];
      }).flat(),
      {
        key: 'head',
        emit: (e, x) =>
          e.b.gemm(
            e.layerNorm(x, 'norm'),
            e.weight('classifier.weight', [file.classes, file.width]),
            e.weight('classifier.bias', [file.classes]),
          ),
      },
    ],
    seeds: [Math.min, Math.max].map((pick) => [
      at(file.depths, pick),
      ...Array.from({ length: maxDepth }, () => [
        at(byCost, pick),
        at(file.states, pick),
        at(file.mlpRatios, pick),
      ]).flat(),
    ]),
  });
}

/** One step of one layer. Input `state<n>` [1, d, d], output `state<n>.next`. */
function emitMemory(e: Emitter, x: string, n: number, rule: (typeof rules)[number], d: number): string {
  const { b } = e;
  const name = `layer${n}.${rule}`;
  const width = b.dimsOf(x)[1] as number;
  const state = b.input(`state${n}`, 'float32', [1, d, d]);
  const normal = e.layerNorm(x, `${name}.norm`);
  const column = (part: string): string => b.reshape(e.linear(normal, `${name}.${part}`, d), [0, d, 1]);
  const row = (y: string): string => b.transpose(y, [0, 2, 1]);
  const gate = (part: string): string =>
    b.reshape(b.node('Sigmoid', [e.linear(normal, `${name}.${part}`, 1)]), [0, 1, 1]);
  // Keys of length about 1 keep the delta rule stable.
  const key = b.softmax(column('key'), 1);
  const value = column('value');
  let next: string;
  if (rule === 'delta') {
    const error = b.node('Sub', [value, b.matMul(state, key)]);
    next = b.add(state, b.matMul(b.mul(gate('rate'), error), row(key)));
  } else {
    const kept = rule === 'gated' ? b.mul(gate('decay'), state) : state;
    next = b.add(kept, b.matMul(value, row(key)));
  }
  b.output(next, `state${n}.next`);
  const read = b.reshape(b.matMul(next, column('query')), [0, d]);
  return b.add(x, e.linear(read, `${name}.project`, width));
}

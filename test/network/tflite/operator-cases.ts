import type { Test } from 'tap';
import type { SessionProcess } from '../../../daemon/runtime/session-process.js';
import { furthest, runOne } from './run-converted.js';
import type { OperatorSpec, TensorSpec } from './write-tflite.js';

/** Operator, inputs (a list: fed), dimensions of the output, what it must give, options, element type of the output. */
export type Case = readonly [
  op: string,
  inputs: readonly (TensorSpec | readonly [dims: readonly number[], values: readonly number[]])[],
  dims: readonly number[],
  wanted: readonly number[],
  options?: OperatorSpec['options'],
  type?: string,
  version?: number,
];

const fed = (input: Case[1][number]): input is readonly [readonly number[], readonly number[]] =>
  Array.isArray(input);

/** Each operator, converted and run on onnxruntime, gives what is wanted. */
export async function checkCases(t: Test, runtime: SessionProcess, cases: readonly Case[]): Promise<void> {
  for (const [op, inputs, dims, wanted, option, type = 'float32', version = 1] of cases) {
    const given = inputs.map((input): TensorSpec => (fed(input) ? { dims: input[0] } : input));
    const spec = { inputs: given, outputs: [{ dims, type }], version, ...(option && { options: option }) };
    const [y] = await runOne(
      runtime,
      op,
      spec,
      inputs.filter(fed).map(([, values]) => values),
    );
    const label = `${op} ${JSON.stringify(option?.fields ?? [])}`;
    t.ok(
      furthest(y?.values ?? [], wanted) < 1e-6,
      `${label}: ${y?.values.slice(0, 12)} for ${wanted.slice(0, 12)}`,
    );
    t.same([y?.dims, y?.type], [dims, type], label);
  }
}

import { HildaError } from '../../../daemon/core/errors.js';
import { ceilTo, code, none, type RecordFields, reference, weightLayouts } from '../layout/format.js';
import { biasesAt } from '../layout/weight-sizes.js';
import type { Task } from '../plan/schedule.js';
import { type EncodeContext, encodeOperator } from './encode-operator.js';

/**
 * The members of the LOOP that walks a linear operator by tiles of `tileOutputs` channels (ABI.md, GENERATE): a tile's
 * weights come from their seed, its biases and multipliers from the constants, and the operator then computes its
 * channels of every row.
 */
export function generatedMembers(
  task: Task,
  tileOutputs: number,
  context: EncodeContext,
): readonly RecordFields[] {
  const { body } = task.operator;
  const tile = context.tileOf(task);
  if (body.kind !== 'linear' || !body.constants.generated || tile === undefined)
    throw new HildaError('INTERNAL', `${task.operator.name} has no weights to generate`);
  const { outputs, depth, generated, bias, multipliers } = body.constants;
  const padded = ceilTo(tileOutputs, 4);
  const walked = new Int32Array((2 * padded * outputs) / tileOutputs);
  for (let from = 0, at = 0; from < outputs; from += tileOutputs, at += 2 * padded) {
    walked.set(bias.subarray(from, from + tileOutputs), at);
    walked.set(multipliers.subarray(from, from + tileOutputs), at + padded);
  }
  const biases = tile + biasesAt(tileOutputs, depth, context.layout);
  // Its biases and multipliers are placed here, tile by tile.
  const linear = encodeOperator(task, { ...context, constants: { place: () => none } });
  return [
    {
      code: code.generate,
      layout: weightLayouts.indexOf(context.layout),
      out: reference('arena', tile),
      inStep: tileOutputs / 4,
      rows: {
        rows: 1,
        k: depth,
        n: tileOutputs,
        multiplier: generated.seed,
        offset: generated.firstOutput / 4,
      },
    },
    {
      code: code.copy,
      in: context.constants.place(new Uint8Array(walked.buffer), true),
      inStride: 8 * padded,
      inStep: 8 * padded,
      out: reference('arena', biases),
      outStride: 8 * padded,
      rows: { rows: 1, n: 8 * padded },
    },
    {
      ...linear,
      bias: reference('arena', biases),
      multipliers: reference('arena', biases + 4 * padded),
      outStep: tileOutputs,
      rows: { ...(linear.rows as NonNullable<RecordFields['rows']>), n: tileOutputs },
    },
  ];
}

import { recordBytes, type WeightLayout } from '../layout/format.js';
import { packedBytes } from '../layout/pack-weights.js';
import type { Operator } from '../lower/operators.js';
import { perBatch, soloTask } from '../plan/schedule.js';
import { type Item, isGroup, type Plot } from './flow.js';
import { outputParts } from './weight-tiles.js';

/** Records of a tile's walk: the LOOP, its weights, its biases and multipliers, the operator. */
const recordsOfWalk = 4;

/**
 * Linear operators whose weights a seed gives, as walks over tiles of `tileOutputs` channels (a multiple of 4): the board
 * generates each tile before it is used, so that no flash holds them. Those too small to save the records of their walk stay.
 */
export function generateWeights(plot: Plot, layout: WeightLayout, tileOutputs: number): Plot {
  return {
    ...plot,
    items: plot.items.flatMap((item): Item[] =>
      !isGroup(item) && savesFlash(item, layout)
        ? perBatch(item).flatMap((one) => walksOf(one, tileOutputs))
        : [item],
    ),
  };
}

/** Whether an operator's weights would be generated. */
export const savesFlash = ({ body, write }: Operator, layout: WeightLayout): boolean =>
  body.kind === 'linear' &&
  body.constants.generated !== undefined &&
  packedBytes(body.constants.outputs, body.constants.depth, layout) >
    2 * write.batch * recordsOfWalk * recordBytes;

/** Whole tiles are one walk, what is left over another. */
function walksOf(operator: Operator, tileOutputs: number): Item[] {
  if (operator.body.kind !== 'linear') return [operator];
  const { outputs } = operator.body.constants;
  const whole = outputs - (outputs % tileOutputs);
  return outputParts(operator, whole > 0 && whole < outputs ? [whole, outputs - whole] : [outputs]).map(
    (part, i) => ({
      kind: 'generated',
      task: soloTask(part),
      outputs: whole > 0 && i === 0 ? tileOutputs : outputs - whole,
    }),
  );
}

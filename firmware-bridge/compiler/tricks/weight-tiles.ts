import type { Operator, View } from '../lower/operators.js';
import type { Task } from '../plan/schedule.js';
import type { LayerConstants } from '../quantise/quantise-weights.js';
import { type Item, isGroup, type Plot } from './flow.js';

/**
 * Cuts layers whose weights exceed a tile into parts by output channels (multiples of 4), each with a tile of its own: for
 * boards whose weights are copied to SRAM before they are used. MCUFormer's memory formula counts one such tile.
 */
export function cutToTiles(plot: Plot, tileBytes: number): Plot {
  return {
    ...plot,
    items: plot.items.flatMap((item): Item[] => {
      if (!isGroup(item)) return partsOf(item, tileBytes);
      if (item.kind !== 'loop') return [item];
      const tasks = item.tasks.flatMap((task) =>
        partsOf(task.operator, tileBytes).map((operator): Task => ({ ...task, operator })),
      );
      return [{ ...item, tasks }];
    }),
  };
}

function partsOf(operator: Operator, tileBytes: number): Operator[] {
  const { body } = operator;
  if (body.kind !== 'linear' && body.kind !== 'conv') return [operator];
  const { outputs, depth } = body.constants;
  const channels = Math.max(4, Math.floor(tileBytes / (Math.ceil(depth / 4) * 4) / 4) * 4);
  if (channels >= outputs) return [operator];
  const counts = Array.from({ length: Math.ceil(outputs / channels) }, (_, i) =>
    Math.min(channels, outputs - i * channels),
  );
  return outputParts(operator, counts);
}

/** A linear operator or convolution cut by output channels: parts of so many each, all but the last a multiple of 4. */
export function outputParts(operator: Operator, counts: readonly number[]): Operator[] {
  const { body } = operator;
  if (body.kind !== 'linear' && body.kind !== 'conv') return [operator];
  return counts.map((count, i): Operator => {
    const from = counts.slice(0, i).reduce((sum, before) => sum + before, 0);
    const constants = sliceOutputs(body.constants, from, count);
    const bytes = body.kind === 'linear' && body.wide ? 2 : 1;
    const width = operator.write.width + bytes * (count - body.constants.outputs);
    const write: View = { ...operator.write, offset: operator.write.offset + bytes * from, width };
    const cut =
      body.kind === 'linear'
        ? { ...body, constants }
        : { ...body, constants, window: { ...body.window, outChannels: count } };
    return { ...operator, body: cut, write };
  });
}

function sliceOutputs(constants: LayerConstants, from: number, count: number): LayerConstants {
  const { depth, generated } = constants;
  return {
    ...constants,
    outputs: count,
    weights: constants.weights.subarray(from * depth, (from + count) * depth),
    bias: constants.bias.subarray(from, from + count),
    multipliers: constants.multipliers.subarray(from, from + count),
    ...(generated && { generated: { ...generated, firstOutput: generated.firstOutput + from } }),
  };
}

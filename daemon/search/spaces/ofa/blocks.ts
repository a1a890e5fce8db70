import { type BlockKey, formatBlockKey } from '../../../predict/tables/block-key.js';
import type { Block } from '../contract.js';
import type { OfaFile } from './file.js';

interface ChosenLayer {
  readonly name: string;
  readonly width: number;
  readonly stride: number;
  readonly kernel: number;
  readonly expansion: number;
  readonly activation: 'relu' | 'hardSwish';
  readonly squeeze: boolean;
}

/**
 * Keys as Once-for-all's tables write them: `expand` is the middle channels, `se` and `hs` say whether a block squeezes
 * and whether its activation is hard swish. A layer's key hangs on the resolution, so that none has a number of its own.
 */
export function ofaBlocks(file: OfaFile, resolution: number, layers: readonly ChosenLayer[]): Block[] {
  const { channels, stemWidth, firstWidth, headWidth, featureWidth, classes } = file;
  const block = (prefix: string, key: BlockKey, op?: string): Block => ({
    prefix,
    key: formatBlockKey(key),
    layer: null,
    choice: null,
    ...(op !== undefined && { op }),
  });
  let side = Math.ceil(resolution / 2);
  let width = firstWidth;
  const blocks = [
    block('stem.', {
      type: 'Conv',
      input: [resolution, resolution, channels],
      output: [side, side, stemWidth],
    }),
    block('first.', {
      type: 'expanded_conv',
      input: [side, side, stemWidth],
      output: [side, side, firstWidth],
      block: {
        expand: stemWidth,
        kernel: 3,
        stride: 1,
        idskip: firstWidth === stemWidth ? 1 : 0,
        se: 0,
        hs: 0,
      },
    }),
  ];
  for (const layer of layers) {
    const after = Math.ceil(side / layer.stride);
    blocks.push(
      block(`${layer.name}.`, {
        type: 'expanded_conv',
        input: [side, side, width],
        output: [after, after, layer.width],
        block: {
          expand: divisible(width * layer.expansion),
          kernel: layer.kernel,
          stride: layer.stride,
          idskip: layer.stride === 1 && width === layer.width ? 1 : 0,
          se: layer.squeeze ? 1 : 0,
          hs: layer.activation === 'hardSwish' ? 1 : 0,
        },
      }),
    );
    side = after;
    width = layer.width;
  }
  return [
    ...blocks,
    block('head.', { type: 'Conv_1', input: [side, side, width], output: [side, side, headWidth] }),
    block(
      'pool.',
      { type: 'AvgPool2D', input: [side, side, headWidth], output: [1, 1, headWidth] },
      'GlobalAveragePool',
    ),
    block('feature.', { type: 'Conv_2', input: [1, 1, headWidth], output: [1, 1, featureWidth] }),
    block('classifier.', { type: 'Logits', input: [1, 1, featureWidth], output: [classes] }),
  ];
}

/** MobileNets round widths to a multiple of 8, never down by more than a tenth. */
export function divisible(width: number, by = 8): number {
  const rounded = Math.max(by, Math.floor((width + by / 2) / by) * by);
  return rounded < 0.9 * width ? rounded + by : rounded;
}

import { intAttribute, intsAttribute, stringAttribute } from '../../../../daemon/network/shape-rules/rule.js';
import { limitsOf } from '../../quantise/quantisation.js';
import { quantiseWeights } from '../../quantise/quantise-weights.js';
import { type LoweringRule, nodeName, unsupported, wholeOf } from '../lowering.js';
import type { Operator } from '../operators.js';
import { clampAttributes } from './clamp-attributes.js';
import { defineImage, imageDims, imageOf, linesOf, pixelsOf, plainWindow } from './convolution.js';

/**
 * A transposed convolution whose kernel is its stride, dense or depthwise: each pixel becomes a patch of its own. So a
 * pointwise layer computes all of a patch's pixels side by side as channels, and a transpose spreads them.
 */
export const transposedConvolution: LoweringRule = (node, lowering) => {
  const weight = lowering.floats(node.inputs[1]);
  if (!weight) throw unsupported(node, 'its weights are no float constant');
  const [, perGroup, ...kernel] = lowering.dims(node.inputs[1] as string) as [number, number, ...number[]];
  const strides = intsAttribute(node, 'strides') ?? kernel.map(() => 1);
  const isPlain =
    kernel.length <= 2 &&
    kernel.every((size, axis) => size === strides[axis]) &&
    ['pads', 'output_padding'].every((name) => (intsAttribute(node, name) ?? []).every((n) => n === 0)) &&
    (intsAttribute(node, 'dilations') ?? []).every((n) => n === 1) &&
    intsAttribute(node, 'output_shape') === undefined &&
    ['NOTSET', 'VALID'].includes(stringAttribute(node, 'auto_pad', 'NOTSET'));
  if (!isPlain) throw unsupported(node, 'its patches overlap: only a kernel as large as the stride can run');
  const bias = node.inputs[2] ? lowering.floats(node.inputs[2]) : undefined;
  if (node.inputs[2] && !bias) throw unsupported(node, 'its bias is no float constant');
  const x = imageOf(node, lowering);
  if (x.dims[0] !== 1) throw unsupported(node, `it has a batch of ${x.dims[0]} images, one can run`);
  const [, inChannels, height, width] = x.dims as [number, number, number, number];
  const [down, across] = [kernel.at(-2) ?? 1, kernel.at(-1) as number];
  const area = down * across;
  const groups = intAttribute(node, 'group', 1);
  const depthwise = groups === inChannels && perGroup === 1 && groups > 1;
  if (groups !== 1 && !depthwise) throw unsupported(node, `it has ${groups} groups of several channels`);

  const name = node.outputs[0] as string;
  const quantisation = lowering.quantisation(name);
  const channels = depthwise ? inChannels : perGroup;
  const patches = lowering.allocate(`${name}.patches`, [1, area * channels, height, width], quantisation);
  const [low, high] = limitsOf(clampAttributes(node), quantisation);
  // Outputs in the order (row of the patch, pixel of the row, channel).
  const outputs = area * channels;
  const depth = depthwise ? 1 : inChannels;
  const weights = Float32Array.from({ length: outputs * depth }, (_, i) => {
    const [output, input] = [Math.floor(i / depth), i % depth];
    const [at, channel] = [Math.floor(output / channels), output % channels];
    return weight[
      ((depthwise ? channel : input) * perGroup + (depthwise ? 0 : channel)) * area + at
    ] as number;
  });
  const layer = {
    outputs,
    weights,
    bias: bias && Float32Array.from({ length: outputs }, (_, i) => bias[i % channels] as number),
  };
  const constants = quantiseWeights(nodeName(node), layer, x.quantisation, quantisation);
  const common = { low, high, constants, x: x.quantisation, y: quantisation };
  const emit = (body: Operator['body'], reads: Operator['reads'], write: Operator['write']): void =>
    lowering.emit({ name: nodeName(node), body, reads, write });
  if (depthwise) {
    const copies = lowering.allocate(`${name}.copies`, patches.dims, x.quantisation);
    emit(
      { kind: 'transpose', dims: [height * width, area, channels], strides: [channels, 0, 1] },
      [{ view: wholeOf(x), access: 'all' }],
      wholeOf(copies),
    );
    const window = plainWindow(outputs, height, width);
    emit(
      { kind: 'depthwise', window, ...common },
      [{ view: linesOf(copies), access: 'window' }],
      linesOf(patches),
    );
  } else emit({ kind: 'linear', ...common }, [{ view: pixelsOf(x), access: 'rows' }], pixelsOf(patches));

  const y = lowering.allocate(name, imageDims(lowering.dims(name)), quantisation);
  const line = across * channels;
  emit(
    {
      kind: 'transpose',
      dims: [height, down, width, line],
      strides: [width * outputs, line, outputs, 1],
    },
    [{ view: wholeOf(patches), access: 'all' }],
    wholeOf(y),
  );
  defineImage(lowering, name, y);
};

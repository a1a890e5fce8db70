import { tapMeans } from '../../quantise/channel-means.js';
import { limitsOf } from '../../quantise/quantisation.js';
import { layerStep, quantiseWeights } from '../../quantise/quantise-weights.js';
import { type LoweringRule, nodeName, unsupported } from '../lowering.js';
import { stridesIn, type Value } from '../value.js';
import { clampAttributes } from './clamp-attributes.js';
import { linesOf, plainWindow } from './convolution.js';

/**
 * ChannelAffine(x, scale [C], shift [C]) along `axis`: a depthwise convolution of one tap over an image whose channels lie
 * along that axis; the other axes may be any.
 */
export const channelAffine: LoweringRule = (node, lowering) => {
  const given = lowering.value(node, 0);
  const axis = Number(node.attributes.axis);
  const [scale, shift] = [1, 2].map((i) => lowering.floats(node.inputs[i]));
  if (!scale || !shift) throw unsupported(node, 'its scale and shift are no float constants');
  const others = given.dims.flatMap((_, other) => (other === axis ? [] : [other]));
  const order = [...others, axis];
  const x = lowering.arranged(node, given, order);
  const name = node.outputs[0] as string;
  const y = lowering.allocate(
    name,
    x.dims,
    lowering.quantisationFor(name, layerStep(scale, x.quantisation)),
    order,
  );
  const sizes = others.map((other) => x.dims[other] as number);
  const [height, width] = [sizes.slice(0, -1).reduce((a, b) => a * b, 1), sizes.at(-1) ?? 1];
  const asImage = (value: Value): Value => {
    const dims = [1, scale.length, height, width];
    return { ...value, dims, strides: stridesIn(dims, [0, 2, 3, 1]) };
  };
  const [low, high] = limitsOf(clampAttributes(node), y.quantisation);
  const means = tapMeans(
    lowering.means(node.inputs[0] as string, axis),
    (channels) => (channel) => channels[channel] as number,
  );
  const layer = { outputs: scale.length, weights: scale, bias: shift, means };
  lowering.emit({
    name: nodeName(node),
    body: {
      kind: 'depthwise',
      window: plainWindow(scale.length, height, width),
      constants: quantiseWeights(nodeName(node), layer, x.quantisation, y.quantisation),
      low,
      high,
      x: x.quantisation,
      y: y.quantisation,
    },
    reads: [{ view: linesOf(asImage(x)), access: 'window' }],
    write: linesOf(asImage(y)),
  });
  lowering.define(name, y);
};

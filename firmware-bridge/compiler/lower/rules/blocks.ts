import type { Node } from '../../../../daemon/network/graph.js';
import { intAttribute, stringAttribute } from '../../../../daemon/network/shape-rules/rule.js';
import { type Lowering, type LoweringRule, nodeName, unsupported, wholeOf } from '../lowering.js';
import type { Value } from '../value.js';
import { imageOf, imagePairs } from './convolution.js';

/** The block size of a node. Throws OPERATOR_UNSUPPORTED where it has none. */
function blockOf(node: Node): number {
  const block = intAttribute(node, 'blocksize', 0);
  if (block < 1) throw unsupported(node, `its block size is ${block}`);
  return block;
}

/** DepthToSpace in both orders of channels: each pixel's channels become a patch of pixels. */
export const depthToSpace: LoweringRule = (node, lowering) => {
  const block = blockOf(node);
  const mode = stringAttribute(node, 'mode', 'DCR');
  if (mode !== 'DCR' && mode !== 'CRD') throw unsupported(node, `its mode is ${mode}`);
  const name = node.outputs[0] as string;
  let x = imageOf(node, lowering);
  const [, channels, height, width] = x.dims as [number, number, number, number];
  const kept = channels / block ** 2;
  if (mode === 'CRD' && kept > 1)
    x = moved(node, lowering, x, x.dims, [height * width, block ** 2, kept], [channels, 1, block ** 2]);
  lowering.define(name, spread(node, lowering, x, [block, block]));
};

/** Each pixel's channels, in the order (row of the patch, pixel of the row, channel), as a patch of pixels. */
export function spread(
  node: Node,
  lowering: Lowering,
  x: Value,
  [down, across]: readonly [number, number],
): Value {
  const [, channels, height, width] = x.dims as [number, number, number, number];
  const kept = channels / (down * across);
  const line = across * kept;
  return moved(
    node,
    lowering,
    x,
    [x.dims[0] as number, kept, height * down, width * across],
    [height, down, width, line],
    [width * channels, line, channels, 1],
  );
}

/** SpaceToDepth: the pixels of each patch become channels, in the order (row of the patch, pixel of the row, channel). */
export const spaceToDepth: LoweringRule = (node, lowering) => {
  const block = blockOf(node);
  const x = imageOf(node, lowering);
  const [, channels, height, width] = x.dims as [number, number, number, number];
  const line = width * channels;
  const y = moved(
    node,
    lowering,
    x,
    [x.dims[0] as number, channels * block ** 2, height / block, width / block],
    [height / block, width / block, block, block * channels],
    [block * line, block * channels, line, 1],
  );
  lowering.define(node.outputs[0] as string, y);
};

/** The bytes of x in another order, as new images of these dimensions. */
function moved(
  node: Node,
  lowering: Lowering,
  x: Value,
  dims: readonly number[],
  sizes: readonly number[],
  strides: readonly number[],
): Value {
  const y = lowering.allocate(node.outputs[0] as string, dims, x.quantisation);
  for (const [from, to] of imagePairs(x, y))
    lowering.emit({
      name: nodeName(node),
      body: { kind: 'transpose', dims: sizes, strides },
      reads: [{ view: wholeOf(from), access: 'all' }],
      write: wholeOf(to),
    });
  return y;
}

import { elementCount } from '../../../../daemon/network/graph.js';
import { axisOf, intAttribute } from '../../../../daemon/network/shape-rules/rule.js';
import { quantisationOf, rangeOf } from '../../quantise/quantisation.js';
import { type LoweringRule, nodeName, unsupported } from '../lowering.js';
import { physicalOrder, rowsOf, stridesIn, type Value } from '../value.js';
import { refuseCoarse } from './normalisation.js';
import { largest } from './reductions.js';
import { applied, combined } from './steps.js';

/** Up to so many elements, the largest probability has steps enough for its logarithm: off by at most n / 512. */
const mostElements = 64;

/** Probabilities in 256 steps, as Softmax has them. */
const probability = { scale: 1 / 256, zeroPoint: -128 };

/**
 * LogSoftmax as x - c with c = max x - log(max p), p the softmax of x: the logarithm is taken of the largest probability
 * alone, which is at least 1 / n. Before opset 13 all axes from `axis` on are one (ONNX operator specification).
 */
export const logSoftmax: LoweringRule = (node, lowering) => {
  const name = node.outputs[0] as string;
  const given = lowering.value(node, 0);
  refuseCoarse(node, given);
  const flattens = lowering.graph.opset < 13;
  const axis = axisOf(node, intAttribute(node, 'axis', flattens ? 1 : -1), given.dims.length);
  const isInner = (other: number): boolean => (flattens ? other >= axis : other === axis);
  const physical = physicalOrder(given);
  const order = [...physical.filter((other) => !isInner(other)), ...physical.filter(isInner)];
  const count = given.dims.reduce((product, size, other) => (isInner(other) ? product * size : product), 1);
  if (count > mostElements)
    throw unsupported(
      node,
      `it runs over ${count} elements, at most ${mostElements} are exact enough`,
      'End the network before LogSoftmax: the order of its results is the same.',
    );
  const quantisation = lowering.quantisation(name);
  const error = count / 512;
  if (lowering.range(name) && error > quantisation.scale)
    throw unsupported(
      node,
      `over ${count} elements it may be off by ${error.toPrecision(2)}, more than its step of ${quantisation.scale.toPrecision(2)}`,
      'End the network before LogSoftmax: the order of its results is the same.',
    );
  const rows = elementCount(given.dims) / count;
  const arranged = lowering.arranged(node, given, order);
  const x: Value = { ...arranged, dims: [rows, count], strides: [count, 1] };
  const p = lowering.allocate(`${name}.probabilities`, x.dims, probability);
  const [from, to] = [rowsOf(x), rowsOf(p)];
  if (!from || !to) throw unsupported(node, `the layout of its input [${given.dims}]`);
  lowering.emit({
    name: nodeName(node),
    body: { kind: 'softmax', x: x.quantisation, y: probability },
    reads: [{ view: from, access: 'rows' }],
    write: to,
  });
  const { min, max } = rangeOf(x.quantisation);
  // The last step stands for all from 254.5 / 256 to 1.
  const f = (share: number): number => -Math.log(share >= 255 / 256 ? 0.997 : share);
  const surprise = applied(node, lowering, largest(node, lowering, p, [1]), f, {
    name: `${name}.surprise`,
    quantisation: quantisationOf({ min: 0, max: Math.log(count) }),
  });
  const shift = combined(
    node,
    lowering,
    largest(node, lowering, x, [1]),
    { value: surprise },
    {
      kind: 'add',
      name: `${name}.shift`,
      quantisation: quantisationOf({ min, max: max + Math.log(count) }),
    },
  );
  const y = combined(
    node,
    lowering,
    x,
    { value: shift },
    {
      kind: 'add',
      negative: true,
      name,
      quantisation,
    },
  );
  lowering.define(name, { ...y, dims: given.dims, strides: stridesIn(given.dims, order) });
};

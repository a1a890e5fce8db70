import type { Node } from '../../../../daemon/network/graph.js';
import { intAttribute } from '../../../../daemon/network/shape-rules/rule.js';
import {
  type Curve,
  type CurveTable,
  curveTable,
  powerOver,
  type StateScale,
  stateScale,
} from '../../quantise/curves.js';
import { boundOf, domainOf, placedIn, stepOfGates } from '../../quantise/gate-domains.js';
import { type GateInputs, quantiseGates } from '../../quantise/gate-weights.js';
import { lookupTable } from '../../quantise/lookup-table.js';
import { type Quantisation, quantisationOf, type Range } from '../../quantise/quantisation.js';
import { type Lowering, type LoweringRule, nodeName } from '../lowering.js';
import type { View } from '../operators.js';
import {
  addedFloats,
  type Chain,
  type Gate,
  joinedCurves,
  joinedFloats,
  joinedParts,
  type Recurrent,
  recurrentOf,
  refuseBeyond,
  stacked,
} from './recurrent.js';
import { outputsOf, RecurrentLoop } from './recurrent-loop.js';
import { operandOf, operandRange } from './steps.js';

/** What a rule shares among its gates. */
interface Made {
  readonly node: Node;
  readonly lowering: Lowering;
  readonly layer: Recurrent;
  readonly chain: Chain;
}

/** A layer to some gates, and where in the function behind them it lies. */
interface GateLayer {
  readonly parts: readonly GateInputs[];
  readonly bias: Float32Array;
  readonly domain: Range;
}

/** GRU, its reset applied before or behind the product with the state (`linear_before_reset`). */
export const gru: LoweringRule = (node, lowering) => {
  const layer = recurrentOf(node, lowering);
  const isBehind = intAttribute(node, 'linear_before_reset', 0) === 1;
  const [y, yLast] = outputsOf(node, lowering, [layer.h, layer.h]);
  for (const chain of layer.chains) {
    const made = { node, lowering, layer, chain };
    const [gateCurve, curve] = chain.curves as [Curve, Curve];
    const keep = gateLayer(made, gateCurve, chain.gate(0));
    const kept = curveTable(gateCurve.f, keep.domain, { isNegated: true, peak: 1 });
    const added = curveTable((x) => 1 - gateCurve.f(x), keep.domain, { isNegated: true });
    const bend = (domain: Range): CurveTable => curveTable(curve.f, domain);
    if (isBehind) {
      const reset = gateLayer(made, gateCurve, chain.gate(1));
      const candidate = candidateBehind(made, curve);
      const table = bend(candidate.domain);
      const scale = scaleOf(made, { kept, added, bent: table });
      const loop = new RecurrentLoop(node, lowering, layer, chain, { gates: 4 });
      loop.start(5, scale.peak);
      loop.takeInput();
      const shared = [keep, reset];
      const parts = [0, 1].map((at) => joinedParts(shared.map((gate) => gate.parts[at] as GateInputs)));
      const bias = joinedFloats(shared.map((gate) => gate.bias));
      loop.gatesBy(quantiseGates(nodeName(node), 2 * layer.units, parts, bias), both(loop, layer), 0);
      const { own, other } = candidate;
      loop.gatesBy(quantised(made, own.parts, own.bias), loop.x, 2);
      loop.gatesBy(quantised(made, other.parts, other.bias), loop.h, 3);
      const resets = curveTable(gateCurve.f, reset.domain, { peak: 1 });
      advance(loop, [kept, added, table, resets], scale, candidate.shift);
      give(loop, y, yLast);
    } else {
      const candidate = gateLayer(made, curve, chain.gate(2));
      const table = bend(candidate.domain);
      const scale = scaleOf(made, { kept, added, bent: table });
      const loop = new RecurrentLoop(node, lowering, layer, chain, { gates: 2, room: layer.units });
      loop.start(5, scale.peak);
      loop.takeInput();
      loop.gatesBy(quantised(made, keep.parts, keep.bias), both(loop, layer), 0);
      resetBefore(made, gateCurve, loop);
      const [r, w] = candidate.parts as [GateInputs, GateInputs];
      const behind: View = {
        ...loop.x,
        width: layer.inputs + layer.units,
        rowStride: layer.inputs + layer.units,
      };
      loop.gatesBy(quantised(made, [w, r], candidate.bias), behind, 1);
      advance(loop, [kept, added, table], scale);
      give(loop, y, yLast);
    }
  }
};

/** RNN: a GRU that keeps nothing. */
export const rnn: LoweringRule = (node, lowering) => {
  const layer = recurrentOf(node, lowering);
  const [y, yLast] = outputsOf(node, lowering, [layer.h, layer.h]);
  for (const chain of layer.chains) {
    const made = { node, lowering, layer, chain };
    const curve = chain.curves[0] as Curve;
    const gate = gateLayer(made, curve, chain.gate(0));
    const whole = { min: -1, max: 1 };
    const kept = curveTable(() => 0, whole, { peak: 1 });
    const added = curveTable(() => 1, whole, { isNegated: true });
    const bent = curveTable(curve.f, gate.domain);
    const scale = scaleOf(made, { kept, added, bent });
    const loop = new RecurrentLoop(node, lowering, layer, chain, { gates: 2 });
    loop.start(5, scale.peak);
    loop.takeInput();
    loop.gatesBy(quantised(made, gate.parts, gate.bias), both(loop, layer), 1);
    advance(loop, [kept, added, bent], scale);
    give(loop, y, yLast);
  }
};

function gateLayer({ node, layer }: Made, curve: Curve, { w, r, wBias, rBias }: Gate): GateLayer {
  const { units, inputs, h, xQuantisation } = layer;
  const parts = [stacked([r], units, h), stacked([w], inputs, xQuantisation)];
  const bias = addedFloats(wBias, rBias);
  const bound = boundOf(parts, bias);
  refuseBeyond(node, curve, bound);
  const domain = domainOf(curve, bound, stepOfGates(parts));
  return { ...placedIn(domain, parts, bias), domain };
}

const quantised = ({ node, layer }: Made, parts: readonly GateInputs[], bias: Float32Array) =>
  quantiseGates(nodeName(node), layer.units, parts, bias);

function scaleOf(
  { node, lowering, layer }: Made,
  tables: Readonly<Record<'kept' | 'added' | 'bent', CurveTable>>,
): StateScale {
  const start = node.inputs[5] ? operandOf(node, lowering, 5) : undefined;
  const first = start ? operandRange(start) : { min: 0, max: 0 };
  const isConvex = tables.kept.entries.every((entry) => entry <= 0);
  return stateScale(tables, { first: Math.max(-first.min, first.max), steps: layer.steps, isConvex });
}

function advance(
  loop: RecurrentLoop,
  tables: readonly CurveTable[],
  { peak, productShift }: StateScale,
  argumentShift = 0,
): void {
  const gates = tables.length === 4 ? 4 : 2;
  const curves = joinedCurves(tables);
  loop.advance({ gates, curves, productShift, argumentShift, statePeak: peak, outputPeak: peak });
}

type Output = ReturnType<typeof outputsOf>[number];

function give(loop: RecurrentLoop, y: Output, yLast: Output): void {
  if (y) loop.giveOutput(y);
  if (yLast) loop.giveLast(yLast, loop.h);
}

/** The output of the step before with the input of this one behind it. */
const both = (loop: RecurrentLoop, { units, inputs }: Recurrent): View => ({
  ...loop.h,
  width: units + inputs,
  rowStride: units + inputs,
});

/** What input and state add to the candidate, in one scale that holds both sums; `shift` leads to the curve's domain. */
function candidateBehind({ node, layer, chain }: Made, curve: Curve) {
  const { units, inputs, h, xQuantisation } = layer;
  const { w, r, wBias, rBias } = chain.gate(2);
  const [own, other] = [[stacked([w], inputs, xQuantisation)], [stacked([r], units, h)]];
  const far = [boundOf(own, wBias), boundOf(other, rBias)].reduce(
    (sum, { min, max }) => sum + Math.max(-min, max),
    0,
  );
  refuseBeyond(node, curve, { min: -far, max: far });
  const step = Math.max(stepOfGates(own), stepOfGates(other));
  const whole = powerOver(domainOf({ ...curve, isOdd: true, reach: far }, { min: -far, max: far }, step).max);
  let shift = 0;
  while (shift < 15 && whole / 2 ** (shift + 1) >= curve.reach) shift++;
  const domain = { min: -whole / 2 ** shift, max: whole / 2 ** shift };
  const sum = { min: -whole, max: whole };
  return { own: placedIn(sum, own, wBias), other: placedIn(sum, other, rBias), domain, shift };
}

/** Before its function, a reset gate beyond this has no effect that a byte shows. */
const furthest = 8;

/** The reset is a byte, and its product with the state stands behind the input. */
function resetBefore({ node, lowering, layer, chain }: Made, curve: Curve, loop: RecurrentLoop): void {
  const { units, inputs, h, xQuantisation } = layer;
  const { w, r, wBias, rBias } = chain.gate(1);
  const name = nodeName(node);
  const parts = [stacked([r], units, h), stacked([w], inputs, xQuantisation)];
  const bias = addedFloats(wBias, rBias);
  const bound = boundOf(parts, bias);
  const argument = quantisationOf({
    min: Math.max(-furthest, Math.min(bound.min, furthest - 1)),
    max: Math.min(furthest, Math.max(bound.max, 1 - furthest)),
  });
  const share = shareOf(curve, argument);
  const reset = lowering.allocate(`${name}.${chain.index}.reset`, [units], share);
  const view: View = { ...loop.more, storage: reset.storage, offset: 0 };
  const constants = quantiseGates(name, units, parts, bias, argument);
  loop.also(
    { kind: 'linear', constants, x: h, y: argument, low: -128, high: 127 },
    [{ view: both(loop, layer), access: 'rows' }],
    view,
  );
  loop.also(
    { kind: 'lookup', table: lookupTable(curve.f, argument, share) },
    [{ view, access: 'rows' }],
    view,
  );
  loop.also(
    { kind: 'mul', negative: false, a: share, b: h, y: h, low: -128, high: 127 },
    [
      { view, access: 'rows' },
      { view: loop.h, access: 'rows' },
    ],
    loop.more,
  );
}

/** Of what a gate lets through: from -1 where its function goes below zero. */
function shareOf({ f }: Curve, { scale, zeroPoint }: Quantisation): Quantisation {
  const [least, most] = [f(scale * (-128 - zeroPoint)), f(scale * (127 - zeroPoint))];
  return quantisationOf({ min: least, max: most });
}

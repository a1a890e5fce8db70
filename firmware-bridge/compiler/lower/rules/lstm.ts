import {
  type Curve,
  type CurveTable,
  curveTable,
  type StateScale,
  stateScale,
} from '../../quantise/curves.js';
import { boundOf, domainOf, placedIn, stepOfGates } from '../../quantise/gate-domains.js';
import { type GateInputs, quantiseGates } from '../../quantise/gate-weights.js';
import { type Quantisation, quantisationOf, rangeOf } from '../../quantise/quantisation.js';
import { type LoweringRule, nodeName } from '../lowering.js';
import {
  addedFloats,
  joinedCurves,
  joinedFloats,
  joinedParts,
  recurrentOf,
  refuseBeyond,
  stacked,
} from './recurrent.js';
import { outputsOf, RecurrentLoop } from './recurrent-loop.js';
import { operandOf, operandRange } from './steps.js';

/** LSTM: one layer to the gates i, o, f, c of a step, then its elements. */
export const lstm: LoweringRule = (node, lowering) => {
  const layer = recurrentOf(node, lowering);
  const { units, inputs, chains, h, xQuantisation, steps } = layer;
  const start = node.inputs[6] ? operandOf(node, lowering, 6) : undefined;
  const last = node.outputs[2];
  const wanted = last ? lowering.isRead(last) : false;
  const seen = wanted ? lowering.range(last as string) : undefined;
  const first = start ? operandRange(start) : { min: 0, max: 0 };
  const cell = wanted ? quantisationOf(seen ?? { min: -4, max: 4 }) : undefined;
  const [y, yLast, cLast] = outputsOf(node, lowering, [h, h, ...(cell ? [cell] : [])]);
  for (const chain of chains) {
    const [gateCurve, inputCurve, outputCurve] = chain.curves as [Curve, Curve, Curve];
    const gates = [0, 1, 2, 3].map((at) => {
      const { w, r, wBias, rBias } = chain.gate(at);
      const curve = at === 3 ? inputCurve : gateCurve;
      const parts = [stacked([r], units, h), stacked([w], inputs, xQuantisation)];
      const bias = addedFloats(wBias, rBias);
      const bound = boundOf(parts, bias);
      refuseBeyond(node, curve, bound);
      const domain = domainOf(curve, bound, stepOfGates(parts));
      const sign = { isNegated: at === 0 || at === 2, ...(at === 2 && { peak: 1 }) };
      return { ...placedIn(domain, parts, bias), table: curveTable(curve.f, domain, sign) };
    });
    const [i, o, f, c] = gates.map(({ table }) => table) as [CurveTable, CurveTable, CurveTable, CurveTable];
    const scale = stateScale(
      { kept: f, added: i, bent: c },
      { first: Math.max(-first.min, first.max), steps, isConvex: false },
    );
    const halvings = halvingsOf(outputCurve, scale, o, h);
    const far = scale.peak / 2 ** halvings;
    refuseBeyond(node, outputCurve, { min: -far, max: far });
    const bend = curveTable(outputCurve.f, { min: -far, max: far });
    const loop = new RecurrentLoop(node, lowering, layer, chain, { gates: 4, cell });
    loop.start(6, scale.peak);
    loop.takeInput();
    const part = (at: number): GateInputs[] => gates.map(({ parts }) => parts[at] as GateInputs);
    const constants = quantiseGates(
      nodeName(node),
      4 * units,
      [joinedParts(part(0)), joinedParts(part(1))],
      joinedFloats(gates.map(({ bias }) => bias)),
    );
    loop.gatesBy(constants, { ...loop.h, width: units + inputs, rowStride: units + inputs }, 0);
    loop.advance({
      gates: 4,
      curves: joinedCurves([i, o, f, c, bend]),
      productShift: scale.productShift,
      argumentShift: 15 - halvings,
      statePeak: scale.peak,
      outputPeak: o.peak * bend.peak,
    });
    if (y) loop.giveOutput(y);
    if (yLast) loop.giveLast(yLast, loop.h);
    if (cLast) loop.giveLast(cLast, loop.cell);
  }
};

/**
 * How often the domain of the curve of states may be halved: down to where it ends, and down to where the least output gate
 * already makes outputs that their bytes cut off.
 */
function halvingsOf(curve: Curve, { peak }: StateScale, gate: CurveTable, h: Quantisation): number {
  const { min, max } = rangeOf(h);
  const least = (Math.min(...gate.entries) / 32768) * gate.peak;
  const suffices = (far: number): boolean =>
    far >= curve.reach ||
    (curve.isOdd && least > 0 && 0.98 * least * curve.f(far) > Math.max(-min, max) + h.scale);
  let halvings = 0;
  while (halvings < 15 && suffices(peak / 2 ** (halvings + 1))) halvings++;
  return halvings;
}

import type { Node } from '../../../../daemon/network/graph.js';
import { intAttribute } from '../../../../daemon/network/shape-rules/rule.js';
import { quantiseGates } from '../../quantise/gate-weights.js';
import { lookupTable } from '../../quantise/lookup-table.js';
import { type Lowering, type LoweringRule, nodeName, unsupported } from '../lowering.js';
import type { View } from '../operators.js';
import { addedFloats, type Chain, joinedFloats, type Recurrent, recurrentOf, stacked } from './recurrent.js';
import { outputsOf, RecurrentLoop, type StartingState } from './recurrent-loop.js';

/** States are 16-bit values in steps of 2^-15, from -1 to 1 (ABI.md, GRU_CELL). */
const startingState: StartingState = { input: 5, scale: 2 ** -15, reach: 1 };

/** GRU, its reset applied before or behind the product with the state (`linear_before_reset`). */
export const gru: LoweringRule = (node, lowering) => {
  const layer = recurrentOf(node, lowering);
  const { units, chains, h } = layer;
  const isBehind = intAttribute(node, 'linear_before_reset', 0) === 1;
  const [y, yLast] = outputsOf(node, lowering, [h, h]);
  for (const chain of chains) {
    if ((chain.curves[0]?.(-8) as number) < 0)
      throw unsupported(node, 'the function of its gates goes below zero');
    const gates = isBehind ? 4 : 2;
    const loop = new RecurrentLoop(node, lowering, layer, chain, { gates, room: isBehind ? 0 : units });
    loop.start(startingState);
    loop.takeInput();
    if (isBehind) resetBehind(node, layer, chain, loop);
    else resetBefore(node, lowering, layer, chain, loop);
    loop.advance(gates, chain.curves);
    if (y) loop.giveOutput(y);
    if (yLast) loop.giveLast(yLast, loop.h);
  }
};

/** RNN: a GRU that keeps nothing. */
export const rnn: LoweringRule = (node, lowering) => {
  const layer = recurrentOf(node, lowering);
  const { units, chains, h } = layer;
  const [y, yLast] = outputsOf(node, lowering, [h, h]);
  for (const chain of chains) {
    const loop = new RecurrentLoop(node, lowering, layer, chain, { gates: 2 });
    loop.start(startingState);
    loop.takeInput();
    const { w, r, wBias, rBias } = chain.gate(0);
    const parts = [stacked([r], units, h), stacked([w], layer.inputs, layer.xQuantisation)];
    const constants = quantiseGates(nodeName(node), units, parts, addedFloats(wBias, rBias));
    loop.gatesBy(constants, both(loop, layer), 1);
    loop.advance(2, [() => 0, chain.curves[0] as (x: number) => number]);
    if (y) loop.giveOutput(y);
    if (yLast) loop.giveLast(yLast, loop.h);
  }
};

/** The output of the step before with the input of this one behind it. */
const both = (loop: RecurrentLoop, { units, inputs }: Recurrent): View => ({
  ...loop.h,
  width: units + inputs,
  rowStride: units + inputs,
});

/** Four gates: keep, reset, and what input and state add to the candidate. */
function resetBehind(node: Node, layer: Recurrent, chain: Chain, loop: RecurrentLoop): void {
  const { units, inputs, h, xQuantisation } = layer;
  const [z, r, n] = [0, 1, 2].map((gate) => chain.gate(gate)) as [Gates, Gates, Gates];
  const name = nodeName(node);
  const keepAndReset = [stacked([z.r, r.r], units, h), stacked([z.w, r.w], inputs, xQuantisation)];
  const bias = joinedFloats([addedFloats(z.wBias, z.rBias), addedFloats(r.wBias, r.rBias)]);
  loop.gatesBy(quantiseGates(name, 2 * units, keepAndReset, bias), both(loop, layer), 0);
  loop.gatesBy(quantiseGates(name, units, [stacked([n.w], inputs, xQuantisation)], n.wBias), loop.x, 2);
  loop.gatesBy(quantiseGates(name, units, [stacked([n.r], units, h)], n.rBias), loop.h, 3);
}

type Gates = ReturnType<Chain['gate']>;

/** Gates lie between zero and one. */
const share = { scale: 1 / 256, zeroPoint: -128 };
/** Before their function, gates beyond this have no effect that a byte shows. */
const argument = { scale: 1 / 16, zeroPoint: 0 };

/** Two gates: keep and candidate. The reset is a byte, and its product with the state stands behind the input. */
function resetBefore(
  node: Node,
  lowering: Lowering,
  layer: Recurrent,
  chain: Chain,
  loop: RecurrentLoop,
): void {
  const { units, inputs, h, xQuantisation } = layer;
  const [z, r, n] = [0, 1, 2].map((gate) => chain.gate(gate)) as [Gates, Gates, Gates];
  const name = nodeName(node);
  const parts = (gate: Gates) => [stacked([gate.r], units, h), stacked([gate.w], inputs, xQuantisation)];
  loop.gatesBy(quantiseGates(name, units, parts(z), addedFloats(z.wBias, z.rBias)), both(loop, layer), 0);
  const reset = lowering.allocate(`${name}.${chain.index}.reset`, [units], share);
  const view: View = { ...loop.more, storage: reset.storage, offset: 0 };
  const narrow = quantiseGates(name, units, parts(r), addedFloats(r.wBias, r.rBias), argument);
  loop.also(
    { kind: 'linear', constants: narrow, x: h, y: argument, low: -128, high: 127 },
    [{ view: both(loop, layer), access: 'rows' }],
    view,
  );
  const f = chain.curves[0] as (x: number) => number;
  loop.also({ kind: 'lookup', table: lookupTable(f, argument, share) }, [{ view, access: 'rows' }], view);
  loop.also(
    { kind: 'mul', negative: false, a: share, b: h, y: h, low: -128, high: 127 },
    [
      { view, access: 'rows' },
      { view: loop.h, access: 'rows' },
    ],
    loop.more,
  );
  const candidate = [stacked([n.w], inputs, xQuantisation), stacked([n.r], units, h)];
  const behind: View = { ...loop.x, width: inputs + units, rowStride: inputs + units };
  loop.gatesBy(quantiseGates(name, units, candidate, addedFloats(n.wBias, n.rBias)), behind, 1);
}

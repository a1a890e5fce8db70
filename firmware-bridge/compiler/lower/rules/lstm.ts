import { quantiseGates } from '../../quantise/gate-weights.js';
import { quantisationOf } from '../../quantise/quantisation.js';
import { type LoweringRule, nodeName } from '../lowering.js';
import { addedFloats, joinedFloats, recurrentOf, stacked } from './recurrent.js';
import { outputsOf, RecurrentLoop } from './recurrent-loop.js';
import { operandOf, operandRange } from './steps.js';

/** Cell states are 16-bit values in steps of 2^-11, from -16 to 16 (ABI.md, LSTM_CELL). */
const cellScale = 2 ** -11;

/** LSTM: one layer to the gates i, o, f, c of a step, then its elements. */
export const lstm: LoweringRule = (node, lowering) => {
  const layer = recurrentOf(node, lowering);
  const { units, inputs, chains, h, xQuantisation } = layer;
  const start = node.inputs[6] ? operandOf(node, lowering, 6) : undefined;
  const last = node.outputs[2];
  const wanted = last ? lowering.isRead(last) : false;
  const seen = wanted ? lowering.range(last as string) : undefined;
  const first = start ? operandRange(start) : { min: 0, max: 0 };
  const range = seen ?? { min: -4, max: 4 };
  const cell = wanted
    ? quantisationOf({ min: Math.min(range.min, first.min), max: Math.max(range.max, first.max) })
    : undefined;
  const [y, yLast, cLast] = outputsOf(node, lowering, [h, h, ...(cell ? [cell] : [])]);
  for (const chain of chains) {
    const gates = [0, 1, 2, 3].map((gate) => chain.gate(gate));
    const loop = new RecurrentLoop(node, lowering, layer, chain, { gates: 4, cell });
    loop.start({ input: 6, scale: cellScale, reach: 16 });
    loop.takeInput();
    const constants = quantiseGates(
      nodeName(node),
      4 * units,
      [
        stacked(
          gates.map(({ r }) => r),
          units,
          h,
        ),
        stacked(
          gates.map(({ w }) => w),
          inputs,
          xQuantisation,
        ),
      ],
      joinedFloats(gates.map(({ wBias, rBias }) => addedFloats(wBias, rBias))),
    );
    loop.gatesBy(constants, { ...loop.h, width: units + inputs, rowStride: units + inputs }, 0);
    loop.advance(4, chain.curves);
    if (y) loop.giveOutput(y);
    if (yLast) loop.giveLast(yLast, loop.h);
    if (cLast) loop.giveLast(cLast, loop.cell);
  }
};

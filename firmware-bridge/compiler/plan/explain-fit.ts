import { HildaError } from '../../../daemon/core/errors.js';
import type { CompiledNetwork } from '../compile.js';
import { tasksOf } from './schedule.js';

/** Whether a compiled network fits its board, and if not, by how much it does not and what would help. */
export interface Fit {
  readonly fits: boolean;
  /** Bytes missing; 0 where there is enough. */
  readonly arenaMissingBytes: number;
  readonly flashMissingBytes: number;
  /** Sentences for people, most useful first. */
  readonly advice: readonly string[];
}

/** Static answers before any byte is sent: exact, since the plan is the program. */
export function explainFit(compiled: CompiledNetwork): Fit {
  const { board, arenaBytes, flashBytes, boundBytes, peak, allowed } = compiled;
  const arenaMissingBytes = Math.max(0, arenaBytes - board.arenaBytes);
  const flashMissingBytes = Math.max(0, flashBytes - board.flashBytes);
  const advice: string[] = [];
  if (arenaMissingBytes > 0) {
    const off = (Object.entries(allowed) as [string, boolean][])
      .filter(([name, on]) => !on && name !== 'generatedWeights')
      .map(([name]) => name);
    if (off.length > 0)
      advice.push(
        `Switch on ${off.join(', ')}: the planner may not use ${off.length > 1 ? 'them' : 'it'} now.`,
      );
    if (!board.fetchesInput && peak.live.some(({ name }) => name === compiled.input.name))
      advice.push('Let the board fetch the input in slices: it lies whole in the arena at the peak.');
    const [largest] = peak.live;
    if (largest)
      advice.push(
        `At the peak, ${peak.operator} (${peak.kind}), ${largest.name} takes ${largest.bytes} bytes: ${arenaMissingBytes} fewer bytes live there would fit.`,
      );
    const packing = arenaBytes - boundBytes;
    if (packing > 0)
      advice.push(`${packing} bytes are lost between tensors: no order of offsets found is tighter.`);
  }
  if (flashMissingBytes > 0) {
    advice.push(
      `${flashMissingBytes} fewer bytes of weights would fit; ${compiled.constantsBytes} bytes are constants.`,
    );
    if (!allowed.generatedWeights && hasSeeds(compiled))
      advice.push('Switch on generatedWeights: weights that a seed gives are stored now.');
    const grown = compiled.chains.filter((chain) => chain.folded && chain.denseWeights > chain.chainWeights);
    const saved = grown.reduce((sum, chain) => sum + chain.denseWeights - chain.chainWeights, 0);
    if (saved > 0)
      advice.push(`Keeping ${grown.length} low-rank chains as they are would save ${saved} bytes.`);
    if (board.weightsAt !== 'external') advice.push('Weights in external memory do not count as flash.');
  }
  return {
    fits: arenaMissingBytes === 0 && flashMissingBytes === 0,
    arenaMissingBytes,
    flashMissingBytes,
    advice,
  };
}

const hasSeeds = ({ schedule }: CompiledNetwork): boolean =>
  schedule.steps
    .flatMap(tasksOf)
    .some(({ operator: { body } }) => body.kind === 'linear' && body.constants.generated !== undefined);

/** Throws DEVICE_OUT_OF_MEMORY with the operator at the peak and what would help, where the network does not fit. */
export function assertFits(compiled: CompiledNetwork): void {
  const { fits, arenaMissingBytes, flashMissingBytes, advice } = explainFit(compiled);
  if (fits) return;
  const { board, arenaBytes, flashBytes, peak } = compiled;
  const lacking = [
    ...(arenaMissingBytes > 0
      ? [`an arena of ${arenaBytes} bytes, ${arenaMissingBytes} more than there are`]
      : []),
    ...(flashMissingBytes > 0
      ? [`${flashBytes} bytes of flash, ${flashMissingBytes} more than there are`]
      : []),
  ];
  throw new HildaError('DEVICE_OUT_OF_MEMORY', `the network needs ${lacking.join(' and ')}`, {
    hint: advice.join(' '),
    details: {
      arenaBytes,
      arenaLimitBytes: board.arenaBytes,
      flashBytes,
      flashLimitBytes: Number.isFinite(board.flashBytes) ? board.flashBytes : null,
      peak,
    },
  });
}

import { HildaError } from '../../../core/errors.js';
import { elementCount } from '../../../network/graph.js';
import { GraphBuilder } from '../../../network/graph-builder.js';

/** Weights of one network of a space, as many as an uploaded model may have: networks are built on the daemon's own thread. */
const maxWeightBytes = 256 * 2 ** 20;

/** A builder of a space's networks. Throws NETWORK_TOO_LARGE with the constant that exceeds the bound. */
export const boundedBuilder = (name: string): GraphBuilder => new GraphBuilder({ name, maxWeightBytes });

/** The number of float32 elements of a tensor that is about to be made. Throws NETWORK_TOO_LARGE. */
export function boundedCount(name: string, dims: readonly number[]): number {
  const count = elementCount(dims);
  if (4 * count <= maxWeightBytes) return count;
  throw new HildaError(
    'NETWORK_TOO_LARGE',
    `the constant ${name} of ${dims.join(' x ')} holds ${4 * count} bytes, at most ${maxWeightBytes} allowed`,
    { details: { is: 4 * count, max: maxWeightBytes }, hint: 'Narrow the widths of the space.' },
  );
}

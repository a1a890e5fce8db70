import { elementCount } from '../../../daemon/network/graph.js';
import type { EditableGraph } from './editable-graph.js';

/**
 * A constant that broadcasts to `dims` and differs along one axis at most, by its elements along that axis (one number
 * is repeated); undefined for anything else, and where it would add axes.
 */
export function alongAxis(
  graph: EditableGraph,
  name: string | undefined,
  dims: readonly number[],
  axis: number,
): Float32Array | undefined {
  const values = graph.floats(name);
  const own = graph.constant(name)?.dims;
  const size = dims[axis];
  if (!values || !own || size === undefined || own.length > dims.length) return undefined;
  if (elementCount(own) === 1) return new Float32Array(size).fill(values[0] as number);
  const isVector = own.every((length, i) => length === (i + dims.length - own.length === axis ? size : 1));
  return isVector ? values : undefined;
}

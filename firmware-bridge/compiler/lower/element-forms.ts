import type { DType } from '../../../daemon/network/graph.js';
import type { Quantisation } from '../quantise/quantisation.js';

/** How elements of a type lie on a board: a byte at a scale, a byte that stands for itself, or an int32. */
export type ElementForm = 'real' | 'byte' | 'whole';

/** Types by form; a type that is missing has none (strings, complex numbers, floats and integers of 4 and 8 bits). */
const forms: ReadonlyMap<string, ElementForm> = new Map([
  ...['float32', 'float16', 'bfloat16', 'float64'].map((type) => [type, 'real'] as const),
  ...['int8', 'uint8', 'bool'].map((type) => [type, 'byte'] as const),
  ...['int16', 'uint16', 'int32', 'uint32', 'int64', 'uint64'].map((type) => [type, 'whole'] as const),
]);

export const elementForm = (dtype: DType): ElementForm | undefined => forms.get(dtype);

/** The real number that a byte of an integer type stands for is the integer itself; uint8 lies as its value less 128. */
export const byteForm = (dtype: DType): Quantisation => ({
  scale: 1,
  zeroPoint: dtype === 'uint8' ? -128 : 0,
});

/** What lies as whole numbers stands for itself. */
export const wholeForm: Quantisation = { scale: 1, zeroPoint: 0 };

/**
 * Operators whose rules take whole numbers as activations: all others would read their bytes as int8. A rule that learns
 * to read int32 adds its name here.
 */
export const readsWhole: ReadonlySet<string> = new Set([
  'Reshape',
  'Flatten',
  'Squeeze',
  'Unsqueeze',
  'Identity',
  'Transpose',
  'Slice',
  'Split',
  'Cast',
  'Gather',
]);

/** Operators whose rules take int8, uint8 and bool as they are: they choose or move elements, or say what they mean. */
export const readsBytes: ReadonlySet<string> = new Set([
  ...readsWhole,
  'Concat',
  'Expand',
  'Tile',
  'MaxPool',
  'ArgMax',
  'ArgMin',
  'Max',
  'Min',
  'ReduceMax',
  'ReduceMin',
  'GlobalMaxPool',
  'DepthToSpace',
  'SpaceToDepth',
  'DequantizeLinear',
]);

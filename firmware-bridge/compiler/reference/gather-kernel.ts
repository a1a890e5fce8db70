import { HildaError } from '../../../daemon/core/errors.js';
import type { Call } from './call.js';

/** Rows of a table by int32 indices. Throws REQUEST_INVALID for one that lies outside, where a board answers INDEX. */
export function gather({ record, arena, inMemory, constants, ...call }: Call): void {
  const { n, k } = record.rows;
  const view = new DataView(inMemory.buffer, inMemory.byteOffset, inMemory.byteLength);
  for (let row = 0; row < call.rows; row++) {
    const given = view.getInt32(call.in + row * record.inStride, true);
    const index = given < 0 ? given + k : given;
    if (index < 0 || index >= k)
      throw new HildaError('REQUEST_INVALID', `the index ${given} lies outside a table of ${k} rows`, {
        details: { index: given, rows: k },
      });
    arena.set(constants.table.subarray(index * n, (index + 1) * n), call.out + row * record.outStride);
  }
}

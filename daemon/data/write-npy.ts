import { type Elements, encodeElements, type NumericType } from './elements.js';

const codes: Readonly<Record<NumericType, string>> = {
  float16: '<f2',
  float32: '<f4',
  float64: '<f8',
  int8: '|i1',
  int16: '<i2',
  int32: '<i4',
  int64: '<i8',
  uint8: '|u1',
  uint16: '<u2',
  uint32: '<u4',
  uint64: '<u8',
  bool: '|b1',
};

/** An array in numpy's .npy format, version 1.0: row-major, little endian, the header padded to 64 bytes. */
export const npyBytes = (elements: Elements, dtype: NumericType, dims: readonly number[]): Uint8Array =>
  npyOf(encodeElements(elements, dtype), dtype, dims);

/** The same from elements as they lie in a file. */
export function npyOf(data: Uint8Array, dtype: NumericType, dims: readonly number[]): Uint8Array {
  const shape = `(${dims.join(', ')}${dims.length === 1 ? ',' : ''})`;
  const text = `{'descr': '${codes[dtype]}', 'fortran_order': False, 'shape': ${shape}, }`;
  const length = Math.ceil((10 + text.length + 1) / 64) * 64 - 10;
  const header = Buffer.alloc(10 + length, ' ');
  header.write('\x93NUMPY\x01\x00', 0, 'latin1');
  header.writeUInt16LE(length, 8);
  header.write(text, 10, 'latin1');
  header.write('\n', header.length - 1, 'latin1');
  return new Uint8Array(Buffer.concat([header, data]));
}

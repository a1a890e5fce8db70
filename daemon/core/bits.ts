/** Truth values, eight a byte, lowest bit first. What is not 0 counts as true. */
export function packBits(values: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(values.length / 8));
  for (let i = 0; i < values.length; i++) if (values[i] !== 0) bytes[i >> 3]! |= 1 << (i & 7);
  return bytes;
}

/** The first `count` of them, 1 or 0 each. Throws RangeError where the bytes hold fewer. */
export function unpackBits(bytes: Uint8Array, count: number): Uint8Array {
  if (bytes.length !== Math.ceil(count / 8))
    throw new RangeError(`${bytes.length} bytes hold no ${count} bits`);
  return Uint8Array.from({ length: count }, (_, i) => ((bytes[i >> 3] as number) >> (i & 7)) & 1);
}

/** Half precision (IEEE 754 binary16), which JavaScript has no type for: elements travel as 16 bits in a Uint16Array. */

const bits = new DataView(new ArrayBuffer(8));

/** The nearest half-precision number, ties to even; beyond 65,504 infinite. */
export function toHalf(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size >= 65520) return sign | 0x7c00;
  bits.setFloat64(0, size);
  // Below 2^-14 numbers lie 2^-24 apart, above it 2^-10 of their power of two.
  const exponent = Math.max(-14, ((bits.getUint16(0) >> 4) & 0x7ff) - 1023);
  const steps = size / 2 ** (exponent - 10);
  const down = Math.floor(steps);
  const isTie = steps - down === 0.5;
  const rounded = isTie ? down + (down % 2) : Math.round(steps);
  return sign | (((exponent + 14) << 10) + rounded);
}

export function fromHalf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** A bfloat16, which is the upper half of a float32, by its 16 bits. */
export function fromBrain(half: number): number {
  bits.setUint32(0, half * 65536);
  return bits.getFloat32(0);
}

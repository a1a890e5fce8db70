/** IEEE 754 binary16 in its 16 bits: one of sign, five of exponent (bias 15), ten of fraction. */

const scratch = new DataView(new ArrayBuffer(8));

export function fromFloat16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Rounds to the nearest, ties to even, in one step; from 65,520 on it gives infinity. */
export function toFloat16(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (magnitude >= 65_520) return sign | 0x7c00;
  scratch.setFloat64(0, magnitude);
  const exponent = Math.max((scratch.getUint16(0) >> 4) - 1023, -14);
  // Division by a power of two is exact, so the one rounding is made here.
  const units = magnitude / 2 ** (exponent - 10);
  const down = Math.floor(units);
  const rest = units - down;
  const rounded = rest > 0.5 || (rest === 0.5 && down % 2 === 1) ? down + 1 : down;
  // A significand that rounds up to 2,048 carries into the exponent, as it should.
  return sign | (((exponent + 14) << 10) + rounded);
}

/** The weight pool of latency runs: xorshift32 from 0x9e3779b9, 32-bit words little endian (ABI.md, "Spaces"). */
export function weightPool(bytes: number): Uint8Array {
  const out = new Uint8Array(Math.ceil(bytes / 4) * 4);
  const view = new DataView(out.buffer);
  let x = 0x9e3779b9;
  for (let at = 0; at < out.length; at += 4) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    view.setInt32(at, x, true);
  }
  return out.subarray(0, bytes);
}

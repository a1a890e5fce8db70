const blockBytes = 512;
const payloadBytes = 256;
/** Family of the RP2040 in the UF2 specification's list. */
const rp2040Family = 0xe48bff56;

/** An image in Microsoft's UF2 format, which the Pico's boot ROM takes as a copied file. */
export function toUf2(image: Uint8Array, loadAddress: number): Uint8Array {
  const blocks = Math.ceil(image.length / payloadBytes);
  const out = new Uint8Array(blocks * blockBytes);
  const view = new DataView(out.buffer);
  for (let block = 0; block < blocks; block++) {
    const at = block * blockBytes;
    const words = [
      0x0a324655,
      0x9e5d5157,
      0x2000,
      loadAddress + block * payloadBytes,
      payloadBytes,
      block,
      blocks,
      rp2040Family,
    ];
    for (const [i, word] of words.entries()) view.setUint32(at + 4 * i, word, true);
    out.set(image.subarray(block * payloadBytes, (block + 1) * payloadBytes), at + 32);
    view.setUint32(at + blockBytes - 4, 0x0ab16f30, true);
  }
  return out;
}

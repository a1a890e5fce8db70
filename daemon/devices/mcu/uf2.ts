const blockBytes = 512;
const payloadBytes = 256;
/** An image in Microsoft's UF2 format, which boot ROMs take as a copied file; `family` is the chip's number there. */
export function toUf2(image: Uint8Array, loadAddress: number, family: number): Uint8Array {
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
      family,
    ];
    for (const [i, word] of words.entries()) view.setUint32(at + 4 * i, word, true);
    out.set(image.subarray(block * payloadBytes, (block + 1) * payloadBytes), at + 32);
    view.setUint32(at + blockBytes - 4, 0x0ab16f30, true);
  }
  return out;
}

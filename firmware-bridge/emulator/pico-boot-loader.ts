const magic = { first: 0x0a324655, second: 0x9e5d5157, last: 0x0ab16f30 } as const;
const flags = { family: 0x2000, notForFlash: 1 } as const;
const rp2040Family = 0xe48bff56;
const blockBytes = 512;
const flashAt = 0x10000000;

/**
 * What the RP2040's boot loader makes of a file in Microsoft's UF2 format: blocks of its family go to their places in the
 * flash, others are ignored. False while blocks are missing: the chip then waits for more.
 */
export function takeUf2(file: Uint8Array, flash: Uint8Array): boolean {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const seen = new Set<number>();
  let total = Number.POSITIVE_INFINITY;
  for (let at = 0; at + blockBytes <= file.length; at += blockBytes) {
    const word = (offset: number): number => view.getUint32(at + offset, true);
    const sound = word(0) === magic.first && word(4) === magic.second && word(508) === magic.last;
    const ours = (word(8) & flags.family) !== 0 && word(28) === rp2040Family;
    if (!sound || !ours || word(8) & flags.notForFlash) continue;
    const [address, bytes] = [word(12) - flashAt, word(16)];
    if (address < 0 || address + bytes > flash.length || bytes > 476) continue;
    flash.set(file.subarray(at + 32, at + 32 + bytes), address);
    total = word(24);
    seen.add(word(20));
  }
  return seen.size === total;
}

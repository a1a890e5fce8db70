import { abi } from '../../firmware-bridge/compiler/layout/format.js';

/**
 * A program of ABI.md with one operator: fills `bytes` of the arena with `value`, which is also its output. Its input is
 * the byte behind. `loops` repeats it, to make it last.
 */
export function fillProgram(value: number, bytes = 64, loops = 1): Uint8Array {
  const count = loops > 1 ? 2 : 1;
  const record = 96;
  const program = new Uint8Array(64 + record * count);
  const view = new DataView(program.buffer);
  const words = [program.length, count, program.length, 0, bytes + 16, 0, bytes, 1, 0, bytes];
  view.setUint32(0, 0x41444c48, true);
  view.setUint16(4, abi, true);
  view.setUint16(6, record, true);
  for (const [i, word] of words.entries()) view.setUint32(8 + 4 * i, word, true);
  let at = 64;
  const none = (offsets: readonly number[]): void => {
    for (const offset of offsets) view.setUint32(at + offset, 0xffffffff, true);
  };
  if (loops > 1) {
    view.setUint8(at, 16);
    view.setUint16(at + 10, 1, true);
    none([12, 16, 20, 24, 28, 32, 36]);
    view.setUint32(at + 64, loops, true);
    at += record;
  }
  view.setUint8(at, 14);
  view.setInt8(at + 6, value);
  none([12, 16, 24, 28, 32, 36]);
  view.setUint32(at + 20, 0, true);
  view.setUint32(at + 48, bytes, true);
  view.setUint32(at + 64, 1, true);
  view.setUint32(at + 72, bytes, true);
  return program;
}

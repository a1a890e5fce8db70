import type { RP2040 } from 'rp2040js';

/** Routines of the boot ROM that the firmware asks for by two letters (RP2040 data sheet 2.8.3). */
const routines = {
  IF: 'connect',
  EX: 'exitXip',
  RE: 'erase',
  RP: 'program',
  FC: 'flushCache',
  UB: 'enterLoader',
} as const;
export type RomCall = (typeof routines)[keyof typeof routines];

const calls = Object.values(routines);
/** Breakpoint numbers from here on are calls of routines. */
const firstBreak = 0xa0;
const tableAt = 0x100;
const lookupAt = 0x40;
const routinesAt = 0x80;

export const romCallOf = (breakCode: number): RomCall | undefined => calls[breakCode - firstBreak];

/**
 * A boot ROM of our own, in place of the chip's: the table of routines, the function that looks them up, and routines
 * that are a breakpoint, which the emulator serves, and a return.
 */
export function installRom(chip: RP2040): void {
  const rom = new DataView(chip.bootrom.buffer);
  rom.setUint16(0x14, tableAt, true);
  rom.setUint16(0x18, lookupAt | 1, true);
  for (const [i, code] of lookup.entries()) rom.setUint16(lookupAt + 2 * i, code, true);
  for (const [i, letters] of Object.keys(routines).entries()) {
    const at = routinesAt + 4 * i;
    rom.setUint16(at, 0xbe00 | (firstBreak + i), true); // bkpt
    rom.setUint16(at + 2, 0x4770, true); // bx lr
    rom.setUint8(tableAt + 4 * i, letters.charCodeAt(0));
    rom.setUint8(tableAt + 4 * i + 1, letters.charCodeAt(1));
    rom.setUint16(tableAt + 4 * i + 2, at | 1, true);
  }
}

/** r0 = table, r1 = code; answers with the routine's address, or 0. Thumb. */
const lookup = [
  0x8802, // ldrh r2, [r0]
  0x2a00, // cmp r2, #0
  0xd005, // beq none
  0x428a, // cmp r2, r1
  0xd001, // beq found
  0x3004, // adds r0, #4
  0xe7f8, // b to the start
  0x8840, // found: ldrh r0, [r0, #2]
  0x4770, // bx lr
  0x2000, // none: movs r0, #0
  0x4770, // bx lr
];

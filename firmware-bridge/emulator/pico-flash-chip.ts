import type { RP2040 } from 'rp2040js';

/** Registers of the SSI (RP2040 data sheet 4.10.13) and the pad that selects the flash (2.19.6.2). */
const registers = { control: 0x00, divider: 0x14, status: 0x28, data: 0x60, readControl: 0xf4 } as const;
const ssiPage = 0x18000;
const qspiPinsPage = 0x40018;
const selectControl = 0x0c;
const heldLow = 2;
/** Frames of 8 bits, as the control register has them. */
const byteFrames = 7;
/** Transmit FIFO empty and not full; receive FIFO not empty. */
const idleStatus = 0x0e;

const commands = {
  writeStatus: 0x01,
  readStatus1: 0x05,
  enableWrite: 0x06,
  readStatus2: 0x35,
  readId: 0x4b,
  quadRead: 0xeb,
};
const quadEnabled = 2;

interface Peripheral {
  readUint32(offset: number): number;
  writeUint32(offset: number, value: number): void;
}

/**
 * The flash chip's side of the SSI: status registers, unique number, and the way in which it is read in place (data sheet of
 * the W25Q16JV). Contents are rp2040js's own. Keeps its state over resets of the RP2040.
 */
export class PicoFlashChip {
  readonly #id: Uint8Array;
  #status1 = 0;
  #writable = false;
  #command: number[] = [];
  #answers: number[] = [];
  /** Bit 1: four data lines may be used. */
  status2: number;
  /** Writes of the status registers: each wears them. */
  statusWrites = 0;
  /** Reads in place need no command: the last quad read asked for that. */
  continuous = false;

  constructor({ id = new Uint8Array(8), status2 = quadEnabled }: { id?: Uint8Array; status2?: number } = {}) {
    this.#id = id;
    this.status2 = status2;
  }

  attach(chip: RP2040): void {
    const ssi = chip.peripherals[ssiPage] as unknown as Peripheral;
    const [read, write] = [ssi.readUint32.bind(ssi), ssi.writeUint32.bind(ssi)];
    this.continuous = false;
    // rp2040js has no such pins.
    const pins = chip.peripherals[qspiPinsPage] as unknown as Peripheral;
    const controls = new Map<number, number>();
    pins.readUint32 = (offset) => controls.get(offset) ?? 0;
    pins.writeUint32 = (offset, value) => {
      controls.set(offset, value);
      if (!selected()) this.#end();
    };
    const selected = (): boolean => (((controls.get(selectControl) ?? 0) >> 8) & 3) === heldLow;
    ssi.writeUint32 = (offset, value) => {
      if (offset !== registers.data) return write(offset, value);
      // Without an override of the pad, a command ends as soon as the program waits for it or takes its answers.
      const byByte = ((read(registers.control) >> 16) & 31) === byteFrames;
      if (byByte) this.#answers.push(this.#exchange(value & 0xff));
      else this.#quad(value);
    };
    ssi.readUint32 = (offset) => {
      if (offset === registers.status) {
        if (!selected()) this.#end();
        return idleStatus;
      }
      return offset === registers.data ? (this.#answers.shift() ?? 0) : read(offset);
    };
  }

  /** What the boot ROM's routines leave behind before they write: single bytes on one line, no continuous reads. */
  leaveContinuous(chip: RP2040): void {
    const ssi = chip.peripherals[ssiPage] as unknown as Peripheral;
    ssi.writeUint32(registers.control, byteFrames << 16);
    this.#command = [];
    this.#answers = [];
    this.continuous = false;
  }

  #exchange(byte: number): number {
    this.#command.push(byte);
    const at = this.#command.length - 1;
    const [command] = this.#command;
    if (command === commands.readStatus1 && at > 0) return this.#status1;
    if (command === commands.readStatus2 && at > 0) return this.status2;
    return command === commands.readId ? (this.#id[at - 5] ?? 0) : 0;
  }

  #quad(value: number): void {
    this.#command.push(value);
    const [command, address] = this.#command;
    if (command !== commands.quadRead || address === undefined) return;
    this.continuous = (this.status2 & quadEnabled) !== 0 && (address & 0xf0) === 0xa0;
  }

  #end(): void {
    const [command, first = 0, second = 0] = this.#command;
    if (command === commands.enableWrite) this.#writable = true;
    if (command === commands.writeStatus && this.#writable) {
      [this.#status1, this.status2] = [first, second];
      this.#writable = false;
      this.statusWrites++;
    }
    this.#command = [];
  }
}

/** How the SSI reads the flash in place: its clock as a part of the core's, and the register that says with what. */
export function readInPlace(chip: RP2040): { readonly divider: number; readonly control: number } {
  const ssi = chip.peripherals[ssiPage] as unknown as Peripheral;
  return {
    divider: ssi.readUint32(registers.divider),
    control: ssi.readUint32(registers.readControl) >>> 0,
  };
}

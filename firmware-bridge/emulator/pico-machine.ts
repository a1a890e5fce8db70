import { ConsoleLogger, LogLevel, RP2040 } from 'rp2040js';
import { HildaError } from '../../daemon/core/errors.js';
import { takeUf2 } from './pico-boot-loader.js';
import { PicoFlashChip, readInPlace } from './pico-flash-chip.js';
import { installRom, type RomCall, romCallOf } from './pico-rom.js';
import { correctSysTick } from './pico-systick.js';

/** 2 MB, as on a Pico. */
const picoFlashBytes = 2 * 1024 * 1024;
/** Where the boot ROM puts the second stage, below which its stack lies (RP2040 data sheet 2.8.1.3). */
const secondStage = 0x20041f00;
const secondStageBytes = 256;
const nanosecondsPerCycle = 8;
const watchdogPage = 0x40058;

export interface PicoOptions {
  /** What the flash holds from its start; the rest is erased. */
  readonly image: Uint8Array;
  /** Bytes that the firmware sends. */
  readonly onByte: (byte: number) => void;
  /** Asked before the n-th erase or write of a page (from 0); false cuts the power in its middle. For tests. */
  readonly keepsPower?: (operation: number) => boolean;
  readonly flashChip?: PicoFlashChip;
  /** What is at the other end of its USB; nothing by default. */
  readonly bus?: PicoBus;
}

export interface PicoBus {
  /** A chip that starts, after each reset. */
  attach(chip: RP2040): void;
  detach?(): void;
  /** Time must pass although the core sleeps. */
  readonly due: boolean;
}

/** What rp2040js has and does not export. */
interface Receiver {
  readonly rxFIFO: { readonly size: number; readonly itemCount: number };
}

interface SimulatedClock {
  readonly nanosToNextAlarm: number;
  tick(nanoseconds: number): void;
}

interface Watchdog {
  reason: number;
  onWatchdogTrigger: () => void;
}

/**
 * A Raspberry Pi Pico in this thread: rp2040js's Cortex-M0+ at 125 MHz with its UART on a byte stream. Flash survives
 * resets and loss of power. Cycles are the core's ideal ones: memory has no wait states, flash and its cache least of all.
 */
export class PicoMachine {
  readonly #options: PicoOptions;
  readonly #flash = new Uint8Array(picoFlashBytes).fill(0xff);
  readonly #flashChip: PicoFlashChip;
  #chip: RP2040;
  #resetReason = 0;
  #restart = false;
  #flashOperations = 0;
  /** The boot ROM's loader has the chip: the arguments with which the firmware called it. */
  loader: { readonly light: number; readonly without: number } | null = null;
  /** Cycles since the machine was made, over all resets. */
  cycles = 0;

  constructor(options: PicoOptions) {
    this.#options = options;
    this.#flashChip = options.flashChip ?? new PicoFlashChip();
    this.#flash.set(options.image);
    this.#chip = this.#boot();
  }

  /** How the flash is read in place now. */
  get flashReads(): ReturnType<typeof readInPlace> {
    return readInPlace(this.#chip);
  }

  /** Nothing happens until a byte comes. */
  get idle(): boolean {
    if (this.loader) return true;
    return this.#chip.core.waiting && !this.#restart && !this.#options.bus?.due;
  }

  /** How many bytes the receiver can take now. */
  get room(): number {
    const { rxFIFO } = uartOf(this.#chip) as unknown as Receiver;
    return rxFIFO.size - rxFIFO.itemCount;
  }

  receive(byte: number): void {
    // A masked interrupt only ends the sleep; rp2040js would enter its handler.
    this.#chip.core.waiting = false;
    uartOf(this.#chip).feedByte(byte);
  }

  /** Runs until the core sleeps or about `instructions` were executed. */
  run(instructions: number): void {
    for (let left = this.loader ? 0 : instructions; left > 0; ) {
      const { core, clock } = this.#chip;
      // The inner loop is all the emulator's time: nothing else stands in it.
      for (; left > 0 && !core.waiting && !this.#restart; left--) {
        const cycles = core.executeInstruction();
        this.cycles += cycles;
        (clock as unknown as SimulatedClock).tick(cycles * nanosecondsPerCycle);
      }
      if (this.loader) return;
      if (!this.#restart) {
        left--;
        if (core.waiting && !this.#wake()) return;
        continue;
      }
      this.#restart = false;
      this.#chip = this.#boot();
    }
  }

  /** Off and on again; only the flash remains. */
  cutPower(): void {
    this.#resetReason = 0;
    this.#restart = false;
    this.#chip = this.#boot();
  }

  /** A file that is copied to the drive of the boot loader: false where it is no whole image. */
  copyToLoader(file: Uint8Array): boolean {
    if (!this.loader || !takeUf2(file, this.#flash)) return false;
    this.cutPower();
    return true;
  }

  /** A sleeping core: an interrupt that came before it fell asleep ends the sleep, or what is due on the bus. */
  #wake(): boolean {
    const { bus } = this.#options;
    if (!bus) return false;
    const { core, clock } = this.#chip;
    const pending = (core.pendingInterrupts & core.enabledInterrupts) !== 0;
    if (!pending && !bus.due) return false;
    // A masked interrupt only ends the sleep; rp2040js would enter its handler.
    core.waiting = false;
    if (pending) return true;
    const simulated = clock as unknown as SimulatedClock;
    simulated.tick(Math.max(simulated.nanosToNextAlarm, nanosecondsPerCycle));
    return true;
  }

  #boot(): RP2040 {
    const chip = new RP2040();
    this.loader = null;
    this.#options.bus?.attach(chip);
    chip.logger = new ConsoleLogger(LogLevel.Error, false);
    chip.flash.set(this.#flash);
    installRom(chip);
    correctSysTick(chip, nanosecondsPerCycle);
    uartOf(chip).onByte = this.#options.onByte;
    const watchdog = chip.peripherals[watchdogPage] as unknown as Watchdog;
    watchdog.reason = this.#resetReason;
    watchdog.onWatchdogTrigger = () => {
      this.#resetReason = watchdog.reason;
      this.#restart = true;
    };
    chip.onBreak = (code) => {
      const call = romCallOf(code);
      if (call) this.#serve(call);
      else {
        // A breakpoint without a debugger is a hard fault, which locks the core up until the watchdog comes.
        this.#resetReason = 1;
        this.#restart = true;
      }
    };
    this.#flashChip.attach(chip);
    chip.sram.set(this.#flash.subarray(0, secondStageBytes), secondStage - 0x20000000);
    chip.core.SP = secondStage;
    chip.core.LR = 0;
    chip.core.PC = secondStage;
    return chip;
  }

  /** The boot ROM's flash routines; registers hold the arguments. */
  #serve(call: RomCall): void {
    if (call === 'enterLoader') {
      const [light = 0, without = 0] = this.#chip.core.registers;
      this.loader = { light, without };
      this.#options.bus?.detach?.();
      // The firmware never goes on.
      this.#chip.core.waiting = true;
      return;
    }
    if (call === 'exitXip') this.#flashChip.leaveContinuous(this.#chip);
    if (call !== 'erase' && call !== 'program') return;
    const { registers } = this.#chip.core;
    const [offset = 0, second = 0, count = 0] = registers;
    const bytes = call === 'erase' ? second : count;
    if (offset + bytes > picoFlashBytes)
      throw new HildaError('INTERNAL', `the firmware writes beyond the flash: ${offset} + ${bytes}`);
    const cut = this.#options.keepsPower?.(this.#flashOperations++) === false;
    const done = cut ? bytes >> 1 : bytes;
    const { flash } = this.#chip;
    for (let i = 0; i < done; i++) {
      const at = offset + i;
      // Programming clears bits; only erasing sets them.
      const value = call === 'erase' ? 0xff : (this.#flash[at] as number) & this.#chip.readUint8(second + i);
      this.#flash[at] = value;
      flash[at] = value;
    }
    if (cut) {
      this.#resetReason = 0;
      this.#restart = true;
    }
  }
}

/** The one that the firmware's board folder sets up. */
const uartOf = (chip: RP2040): RP2040['uart'][number] => chip.uart[0] as RP2040['uart'][number];

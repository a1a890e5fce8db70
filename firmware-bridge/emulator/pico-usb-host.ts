import type { RP2040 } from 'rp2040js';
import { HildaError } from '../../daemon/core/errors.js';
import {
  bits,
  controllerOf,
  controlOf,
  expectToggle,
  packetBytes,
  setupPacket,
  transact,
} from './pico-usb-buffers.js';
import { type ControlRequest, describeUsbDevice, type UsbFacts } from './pico-usb-enumeration.js';

const busReset = 1 << 19;
const pullUp = 1 << 16;
const registers = { address: 0x00, busControl: 0x4c } as const;
/** One transaction of 64 bytes at 12 Mbit/s, with its gaps. */
const transactionNs = 50_000;
const attachNs = 1_000_000;
/** USB 2.0, 7.1.7.5: a reset lasts 10 ms, and as long as that a device may take to recover. */
const resetNs = 20_000_000;
/** What hosts give a device until it listens to its address; 9.2.6.3 asks for 2 ms, Linux waits 10. */
const addressNs = 10_000_000;
const endpoints = { data: 2 } as const;

interface Transfer extends ControlRequest {
  stage: 'setup' | 'data' | 'status';
  readonly received: number[];
  sent: number;
  resolve(answer: Uint8Array | 'stall'): void;
  reject(error: Error): void;
}

export interface PicoUsbHostOptions {
  readonly onBytes: (bytes: Uint8Array) => void;
  /** The device is there; these are its descriptors. */
  readonly onReady?: (facts: UsbFacts) => void;
  readonly onGone?: () => void;
}

/**
 * The host's side of an emulated Pico's USB, transaction by transaction: it takes and gives packets only where the firmware
 * has armed a buffer, otherwise the controller answers NAK; checks DATA0 and DATA1 and the device's address. In place of
 * rp2040js's own USBCDC, which takes every packet at once.
 */
export class PicoUsbHost {
  readonly #options: PicoUsbHostOptions;
  #chip: RP2040 | undefined;
  #schedule: (nanoseconds: number) => void = () => {};
  #connected = false;
  #address = 0;
  #transfers: Transfer[] = [];
  #toggles = { in: 0, out: 0 };
  #ready = false;
  #outgoing: number[] = [];
  /** Nothing is sent until then, in the chip's time. */
  #quietUntilNs = 0;
  /** False: the host asks for no data, as one whose program has stopped reading. */
  reading = true;
  /** Packets of the data endpoint that were taken, with their lengths. */
  readonly packets: number[] = [];
  /** Something is due although the core may sleep. */
  due = false;

  constructor(options: PicoUsbHostOptions) {
    this.#options = options;
  }

  get ready(): boolean {
    return this.#ready;
  }

  /** Bytes that the device has not taken yet. */
  get unsent(): number {
    return this.#outgoing.length;
  }

  /** A chip that starts: it is seen once it pulls its line up. */
  attach(chip: RP2040): void {
    this.detach();
    this.#chip = chip;
    this.#quietUntilNs = 0;
    const alarm = chip.clock.createAlarm(() => {
      this.due = false;
      if (this.#chip === chip) this.#work();
    });
    this.#schedule = (nanoseconds) => {
      if (this.due) return;
      this.due = true;
      alarm.schedule(nanoseconds);
    };
    chip.usbCtrl.onUSBEnabled = () => this.#schedule(attachNs);
    // Buffers stay armed until a transaction uses them; rp2040js would end each at once.
    controllerOf(chip).DPRAMUpdated = (offset) => {
      if (offset >= 0x80 && offset < 0x100) this.#schedule(transactionNs);
    };
  }

  detach(): void {
    this.#chip = undefined;
    this.due = false;
    if (this.#connected) this.#options.onGone?.();
    this.#forget();
    this.#connected = false;
  }

  write(bytes: Uint8Array): void {
    for (const byte of bytes) this.#outgoing.push(byte);
    this.resume();
  }

  /** Goes on after `reading` was set. */
  resume(): void {
    if (this.#chip) this.#schedule(transactionNs);
  }

  /** Answers with the data that the device sent, or that it refused the request. */
  control(request: ControlRequest): Promise<Uint8Array | 'stall'> {
    return new Promise((resolve, reject) => {
      this.#transfers.push({ ...request, stage: 'setup', received: [], sent: 0, resolve, reject });
      this.resume();
    });
  }

  /** Resets the bus in the middle of anything, and finds the device anew. */
  async reset(): Promise<void> {
    const chip = this.#chip;
    if (!chip) throw new HildaError('INTERNAL', 'no device is on the bus');
    this.#forget();
    const controller = controllerOf(chip);
    controller.sieStatus |= busReset;
    chip.core.waiting = false;
    controller.sieStatusUpdated();
    this.#quietUntilNs = chip.clock.nanos + resetNs;
    const facts = await describeUsbDevice(
      (request) => this.control(request),
      (address) => {
        this.#address = address;
        this.#quietUntilNs = chip.clock.nanos + addressNs;
      },
    );
    this.#ready = true;
    this.#toggles = { in: 0, out: 0 };
    this.#options.onReady?.(facts);
    this.resume();
  }

  #forget(): void {
    for (const { reject } of this.#transfers.splice(0)) reject(new Error('the bus was reset'));
    this.#address = 0;
    this.#ready = false;
    this.#outgoing = [];
  }

  #work(): void {
    const chip = this.#chip;
    if (!chip) return;
    if (!this.#connected) {
      this.#connected = (chip.usbCtrl.readUint32(registers.busControl) & pullUp) !== 0;
      if (this.#connected) this.reset().catch(() => {});
      else this.#schedule(attachNs);
      return;
    }
    const quietNs = this.#quietUntilNs - chip.clock.nanos;
    if (quietNs > 0) {
      this.#schedule(quietNs);
      return;
    }
    const did = [this.#serveControl(chip), this.#take(chip), this.#give(chip)];
    if (did.includes(true)) this.#schedule(transactionNs);
  }

  /** One transaction of the control transfer that is first; false where the device is not ready for it. */
  #serveControl(chip: RP2040): boolean {
    const [transfer] = this.#transfers;
    if (!transfer) return false;
    const address = chip.usbCtrl.readUint32(registers.address) & 0x7f;
    const end = (answer: Uint8Array | 'stall'): true => {
      this.#transfers.shift();
      transfer.resolve(answer);
      return true;
    };
    if (address !== this.#address) {
      this.#transfers.shift();
      transfer.reject(new Error(`the device has address ${address}, not ${this.#address}`));
      return true;
    }
    const { toHost, length, data } = transfer;
    if (transfer.stage === 'setup') {
      controllerOf(chip).epStallArm = 0;
      chip.core.waiting = false;
      chip.usbCtrl.sendSetupPacket(setupPacket(transfer));
      transfer.stage = length > 0 ? 'data' : 'status';
      return true;
    }
    const out = transfer.stage === 'data' ? !toHost : toHost && length > 0;
    const control = controlOf(chip, 0, out);
    if (control & bits.stall && controllerOf(chip).epStallArm) return end('stall');
    if (!(control & bits.available)) return false;
    // Data begin with DATA1 and alternate; the status is DATA1.
    const packets = Math.ceil((out ? transfer.sent : transfer.received.length) / packetBytes);
    expectToggle(control, transfer.stage === 'status' ? 1 : (packets + 1) & 1, 'control');
    if (transfer.stage === 'status') {
      transact(chip, 0, out, new Uint8Array());
      return end(Uint8Array.from(transfer.received));
    }
    if (out) {
      const part = (data ?? new Uint8Array()).subarray(transfer.sent, transfer.sent + packetBytes);
      transfer.sent += part.length;
      transact(chip, 0, true, part);
      if (transfer.sent >= length) transfer.stage = 'status';
      return true;
    }
    const part = transact(chip, 0, false);
    transfer.received.push(...part);
    if (part.length < packetBytes || transfer.received.length >= length) transfer.stage = 'status';
    return true;
  }

  #take(chip: RP2040): boolean {
    if (!this.#ready || !this.reading) return false;
    const control = controlOf(chip, endpoints.data, false);
    if (!(control & bits.available)) return false;
    expectToggle(control, this.#toggles.in, 'data to the host');
    this.#toggles.in ^= 1;
    const bytes = transact(chip, endpoints.data, false);
    this.packets.push(bytes.length);
    this.#options.onBytes(bytes);
    return true;
  }

  #give(chip: RP2040): boolean {
    if (!this.#ready || this.#outgoing.length === 0) return false;
    const control = controlOf(chip, endpoints.data, true);
    if (!(control & bits.available)) return false;
    expectToggle(control, this.#toggles.out, 'data to the device');
    this.#toggles.out ^= 1;
    transact(chip, endpoints.data, true, Uint8Array.from(this.#outgoing.splice(0, packetBytes)));
    return true;
  }
}

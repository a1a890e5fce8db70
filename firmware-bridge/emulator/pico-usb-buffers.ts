import type { RP2040, RPUSBController } from 'rp2040js';
import { HildaError } from '../../daemon/core/errors.js';
import type { ControlRequest } from './pico-usb-enumeration.js';

/** Buffer control of the USB controller (RP2040 data sheet 4.1.2.5.4). */
export const bits = {
  length: 0x3ff,
  available: 1 << 10,
  stall: 1 << 11,
  data1: 1 << 13,
  full: 1 << 15,
} as const;
export const packetBytes = 64;

/** What rp2040js has and does not export. */
export interface Controller {
  DPRAMUpdated(offset: number, value: number): void;
  indicateBufferReady(endpoint: number, out: boolean): void;
  sieStatusUpdated(): void;
  sieStatus: number;
  epStallArm: number;
}

const bufferControl = (endpoint: number, out: boolean): number => 0x80 + 8 * endpoint + (out ? 4 : 0);

/** Whether a buffer is armed, and how. */
export function controlOf(chip: RP2040, endpoint: number, out: boolean): number {
  return chip.usbDPRAMView.getUint32(bufferControl(endpoint, out), true);
}

/** Packets alternate between DATA0 and DATA1. */
export function expectToggle(control: number, wanted: number, what: string): void {
  const toggle = control & bits.data1 ? 1 : 0;
  if (toggle !== wanted)
    throw new HildaError('INTERNAL', `${what}: DATA${toggle} where DATA${wanted} is due`);
}

/** A transaction that uses an armed buffer; answers with what the device sent. */
export function transact(chip: RP2040, endpoint: number, out: boolean, given?: Uint8Array): Uint8Array {
  const { usbDPRAM: memory, usbDPRAMView: view } = chip;
  const at = bufferControl(endpoint, out);
  const control = view.getUint32(at, true);
  const room = control & bits.length;
  const from = endpoint === 0 ? 0x100 : view.getUint32(8 * endpoint + (out ? 4 : 0), true) & 0xffc0;
  if (endpoint > 0 && view.getInt32(8 * endpoint + (out ? 4 : 0), true) >= 0)
    throw new HildaError('INTERNAL', `endpoint ${endpoint} is armed and not enabled`);
  const taken = memory.slice(from, from + room);
  if (given && given.length > room)
    throw new HildaError('INTERNAL', `the device takes ${room} bytes, and ${given.length} were sent`);
  if (given) memory.set(given, from);
  const rest = control & ~(bits.available | bits.full | bits.length);
  view.setUint32(at, rest | (given ? given.length | bits.full : room), true);
  chip.core.waiting = false;
  controllerOf(chip).indicateBufferReady(endpoint, out);
  return out ? new Uint8Array() : taken;
}

export function setupPacket({ type, request, value, index, length, toHost }: ControlRequest): Uint8Array {
  const packet = new Uint8Array(8);
  const view = new DataView(packet.buffer);
  view.setUint8(0, (toHost ? 0x80 : 0) | type);
  view.setUint8(1, request);
  view.setUint16(2, value, true);
  view.setUint16(4, index, true);
  view.setUint16(6, length, true);
  return packet;
}

export const controllerOf = ({ usbCtrl }: { readonly usbCtrl: RPUSBController }): Controller =>
  usbCtrl as unknown as Controller;

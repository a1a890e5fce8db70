import { readFileSync } from 'node:fs';
import { findFirmware } from '../../daemon/devices/mcu/board-profile.js';
import { PicoFlashChip } from '../../firmware-bridge/emulator/pico-flash-chip.js';
import { type PicoBus, PicoMachine } from '../../firmware-bridge/emulator/pico-machine.js';
import type { UsbFacts } from '../../firmware-bridge/emulator/pico-usb-enumeration.js';
import { PicoUsbHost } from '../../firmware-bridge/emulator/pico-usb-host.js';
import { FrameDecoder } from '../../firmware-bridge/link/frames.js';
import type { Transport } from '../../firmware-bridge/link/index.js';
import { kinds } from '../../firmware-bridge/link/messages.js';

export interface PicoHere {
  readonly machine: PicoMachine;
  readonly uart: Transport;
  stop(): void;
}

export interface PicoHereOptions {
  readonly keepsPower?: (operation: number) => boolean;
  readonly flashChip?: PicoFlashChip;
  readonly bus?: PicoBus;
}

/** A Pico in this thread, whose tests look into it. It runs between the turns of the event loop. */
export function picoHere({ keepsPower, flashChip, bus }: PicoHereOptions = {}): PicoHere {
  let alive = true;
  let sent: number[] = [];
  const waiting: number[] = [];
  const machine = new PicoMachine({
    image: readFileSync(findFirmware('rp2040-pico')?.path ?? ''),
    onByte: (byte) => sent.push(byte),
    ...(keepsPower && { keepsPower }),
    ...(flashChip && { flashChip }),
    ...(bus && { bus }),
  });
  let listener: (bytes: Uint8Array) => void = () => {};
  const step = (): void => {
    if (!alive) return;
    while (waiting.length > 0 && machine.room > 0) machine.receive(waiting.shift() as number);
    if (!machine.idle) machine.run(20_000);
    if (sent.length > 0) listener(Uint8Array.from(sent));
    sent = [];
    setImmediate(step);
  };
  setImmediate(step);
  const uart: Transport = {
    name: 'Pico',
    write: async (bytes) => void waiting.push(...bytes),
    onBytes: (heard) => {
      listener = heard;
    },
    onClose: () => {},
    close: async () => {},
  };
  return {
    machine,
    uart,
    stop: () => {
      alive = false;
    },
  };
}

export const picoId = Uint8Array.from([0xe6, 0x61, 0x4c, 0x31, 0x1b, 0x4c, 0x8f, 0x2d]);

export interface PicoOnUsb extends PicoHere {
  readonly host: PicoUsbHost;
  readonly usb: Transport;
  /** What the device said about itself, each time it was found. */
  readonly found: UsbFacts[];
  /** Times it went. */
  readonly gone: () => number;
  /** Requests from this number on that the device refuses over USB, in order. */
  refusals(from: number): readonly number[];
  /** Once it is found for the n-th time. */
  ready(times: number): Promise<UsbFacts>;
}

/** A Pico on its own USB, with the number of its flash chip. */
export function picoOnUsb(): PicoOnUsb {
  let listener: (bytes: Uint8Array) => void = () => {};
  let left: (reason: string) => void = () => {};
  let times = 0;
  const found: UsbFacts[] = [];
  let overheard: (bytes: Uint8Array) => void = () => {};
  const host = new PicoUsbHost({
    onBytes: (bytes) => {
      overheard(bytes);
      listener(bytes);
    },
    onReady: (facts) => void found.push(facts),
    onGone: () => {
      times++;
      left('it was unplugged');
    },
  });
  const here = picoHere({ bus: host, flashChip: new PicoFlashChip({ id: picoId }) });
  return {
    ...here,
    host,
    found,
    gone: () => times,
    refusals: (from) => {
      const refused: number[] = [];
      const decoder = new FrameDecoder();
      overheard = (bytes) => {
        for (const { kind, request } of decoder.push(bytes))
          if (kind === kinds.error && request >= from) refused.push(request);
      };
      return refused;
    },
    ready: async (count) => {
      while (found.length < count) await new Promise((resolve) => setImmediate(resolve));
      return found[count - 1] as UsbFacts;
    },
    usb: {
      name: 'Pico on USB',
      write: async (bytes) => host.write(bytes),
      onBytes: (heard) => {
        listener = heard;
      },
      onClose: (heard) => {
        left = heard;
      },
      close: async () => {},
    },
  };
}

import { readFileSync } from 'node:fs';
import { type EmulatedBoard, startPico } from './pico-board.js';
import { startQemu } from './qemu-board.js';

export interface EmulatedImage {
  readonly path: string;
  readonly loadAddress: number;
}

/** The emulator that a board's profile names, with an image in its memory. Throws DEVICE_FAILED when it does not start. */
export async function startEmulated(
  emulator: { readonly kind: 'rp2040js' } | { readonly kind: 'qemu'; readonly machine: string },
  { path, loadAddress }: EmulatedImage,
  signal: AbortSignal,
): Promise<EmulatedBoard> {
  if (emulator.kind === 'rp2040js') return startPico(readFileSync(path));
  return startQemu({ machine: emulator.machine, imagePath: path, loadAddress, signal });
}

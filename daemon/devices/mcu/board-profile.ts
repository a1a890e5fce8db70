import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { HildaError } from '../../core/errors.js';

const hex4 = z.string().regex(/^[0-9a-f]{4}$/, 'four lower-case hexadecimal digits');
const hex8 = z.string().regex(/^[0-9a-f]{8}$/, 'eight lower-case hexadecimal digits');

const usbSchema = z.strictObject({
  vendorId: hex4,
  productId: hex4.optional(),
  /** USB interface number of the port, where one adapter has several. */
  interface: z.number().int().min(0).optional(),
});

/** What the daemon must know of a board that the board cannot say itself. Data: profiles/boards/BOARD.json. */
const boardProfileSchema = z.strictObject({
  /** The firmware's name of the board: the same as its folder and image. */
  board: z.string().regex(/^[a-z0-9][a-z0-9-]*$/),
  label: z.string(),
  /** As the compiler's -mcpu names it. */
  core: z.string().regex(/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/),
  weightLayout: z.enum(['rows', 'scalar', 'dsp', 'mve']),
  /** Where kernels find the weights: MCUFormer's memory formula counts a tile in SRAM unless flash is read in place. */
  weightsAt: z.enum(['flash', 'sram', 'external']),
  sramBytes: z.number().int().positive(),
  /** An upper bound for arenas, below what the board itself reports: an emulated board may stand for a smaller one. */
  arenaBytes: z.number().int().positive().optional(),
  flashBytes: z.number().int().positive(),
  baud: z.number().int().positive().default(115_200),
  /** Ports that may lead to this board; hello settles which board it is. */
  usb: z.array(usbSchema).default([]),
  /** State of the control lines while the board runs, and the one that restarts it. */
  lines: z
    .strictObject({
      dtr: z.boolean(),
      rts: z.boolean(),
      resetBy: z.enum(['dtr', 'rts']).optional(),
      resetMs: z.number().int().min(1).max(5000).optional(),
    })
    .optional(),
  /** What restarts a board that hangs, where no control line does: the debug probe on its own USB plug. */
  resetBy: z.literal('probe').optional(),
  emulator: z
    .discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('rp2040js') }),
      z.strictObject({ kind: z.literal('qemu'), machine: z.string() }),
    ])
    .optional(),
  /** How an image gets into the board's flash. */
  flash: z
    .discriminatedUnion('method', [
      z.strictObject({
        method: z.literal('uf2'),
        volume: z.string(),
        enter: z.string(),
        /** The chip's number in the UF2 specification's list: the boot ROM ignores blocks of other families. */
        family: hex8,
        /** USB port whose opening and closing at this rate makes a running firmware enter its boot loader. */
        touch: z
          .strictObject({
            vendorId: hex4,
            productId: hex4,
            baud: z.number().int().positive().default(1200),
            /** The device's own word: ports of others with the same ids are left alone. */
            manufacturer: z.string().optional(),
          })
          .optional(),
        /** hilda's firmware on it enters the boot loader when it is asked over its line. */
        byRequest: z.boolean().default(false),
      }),
      z.strictObject({
        method: z.literal('probe'),
        openocd: z.array(z.string()).min(1),
        /** Where the adapter offers several and openocd would take another one. */
        openocdTransport: z.string().optional(),
        probeRsChip: z.string(),
        stFlash: z.boolean().default(false),
        copyTo: z.string().optional(),
      }),
    ])
    .optional(),
});

export type BoardProfile = z.infer<typeof boardProfileSchema>;

export const profilesFolder = fileURLToPath(new URL('../../../../profiles/', import.meta.url));

/** All boards, by name. Throws SPEC_INVALID naming the file and field that is wrong. */
export function loadBoardProfiles(folder = join(profilesFolder, 'boards')): Map<string, BoardProfile> {
  const profiles = new Map<string, BoardProfile>();
  for (const file of readdirSync(folder).sort()) {
    if (!file.endsWith('.json')) continue;
    const parsed = boardProfileSchema.safeParse(JSON.parse(readFileSync(join(folder, file), 'utf8')));
    if (!parsed.success) {
      const fields = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
      throw new HildaError('SPEC_INVALID', `the board profile ${file} is not valid: ${fields.join('; ')}`, {
        details: { file, fields },
      });
    }
    profiles.set(parsed.data.board, parsed.data);
  }
  return profiles;
}

const imageSchema = z.object({
  board: z.string(),
  loadAddress: z.number(),
  bytes: z.number(),
  sha256: z.string(),
  buildHash: z.string(),
  compiler: z.string(),
});

/** A shipped firmware image. */
export interface FirmwareImage extends z.infer<typeof imageSchema> {
  readonly path: string;
}

/** Null where no image is shipped for the board. */
export function findFirmware(board: string, folder = join(profilesFolder, 'firmware')): FirmwareImage | null {
  try {
    const manifest = imageSchema.parse(JSON.parse(readFileSync(join(folder, `${board}.json`), 'utf8')));
    return { ...manifest, path: join(folder, `${board}.bin`) };
  } catch {
    return null;
  }
}

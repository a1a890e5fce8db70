import { readFile, writeFile } from 'node:fs/promises';
import { Command } from 'commander';
import { HildaError } from '../../core/errors.js';
import { formatBytes } from '../../core/quantities.js';
import { findFirmware, loadBoardProfiles } from '../../devices/mcu/board-profile.js';
import { flashBoard, uf2Of } from '../../devices/mcu/flash-board.js';
import { act, type Terminal } from '../context.js';

export const devicesFlashCommand = (terminal: Terminal): Command =>
  new Command('flash')
    .description("writes hilda's firmware to a board that is plugged into this machine")
    .argument('<board>', 'e.g. rp2040-pico')
    .option('-o, --out <file>', 'write the image to a file instead (.uf2 or .bin)')
    .action(
      act(terminal, async (context, board: string, { out }: { readonly out?: string }) => {
        const profile = loadBoardProfiles().get(board);
        const image = findFirmware(board);
        if (!profile || !image) {
          const known = [...loadBoardProfiles().keys()].filter((name) => findFirmware(name));
          throw new HildaError('NOT_FOUND', `there is no firmware for ${board}`, {
            hint: `There is for ${known.join(', ')}.`,
          });
        }
        if (out) {
          const bytes = await readFile(image.path);
          await writeFile(out, out.endsWith('.uf2') ? uf2Of(profile, image, bytes) : bytes);
          context.answer('flash', { board, file: out }, () => `wrote ${out}`);
          return;
        }
        const { by, bytes } = await flashBoard(profile, image);
        context.answer(
          'flash',
          { board, by, bytes, buildHash: image.buildHash },
          () => `${profile.label}: ${formatBytes(bytes)}, ${by}. It answers as soon as it has restarted.`,
        );
      }),
    );

import { readFile, writeFile } from 'node:fs/promises';
import { HildaError } from '../../../core/errors.js';
import { formatBytes } from '../../../core/quantities.js';
import { findFirmware, loadBoardProfiles } from '../../../devices/mcu/board-profile.js';
import { flashBoard, uf2Of } from '../../../devices/mcu/flash-board.js';
import type { CliContext } from '../../context.js';

export async function devicesFlashAction(
  context: CliContext,
  board: string,
  { out }: { readonly out?: string },
): Promise<void> {
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
  const { by, bytes, at } = await flashBoard(profile, image);
  context.answer(
    'flash',
    { board, by, bytes, buildHash: image.buildHash, at },
    () => `${profile.label}: ${formatBytes(bytes)}, ${by}. ${answers(at)}`,
  );
}

const answers = (at: string | null): string =>
  at ? `It answers at ${at}.` : 'It answers as soon as it has restarted.';

import { HildaError } from '../../daemon/core/errors.js';
import type { Hello } from './messages.js';

/**
 * What a board says about itself, if it is the one that was there before. Boards without a chip id, or of one kind with the
 * same, cannot be told apart. Throws DEVICE_GONE that names both.
 */
export function sameBoard(
  hello: Hello,
  before: Pick<Hello, 'board' | 'chipId'> | undefined,
  port: string,
): Hello {
  if (!before || (before.board === hello.board && before.chipId === hello.chipId)) return hello;
  const named = ({ board, chipId }: Pick<Hello, 'board' | 'chipId'>): string =>
    `${board} of chip id ${chipId}`;
  throw new HildaError(
    'DEVICE_GONE',
    `another board answers at ${port}: ${named(hello)}, where there was ${named(before)}`,
    {
      hint: 'Plug the former board in again. The other one is a device of its own: look for devices again.',
      details: { another: hello.chipId, expected: before.chipId, board: hello.board },
    },
  );
}

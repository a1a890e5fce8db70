import { HildaError } from '../core/errors.js';
import type { Switchboard } from './switchboard.js';

/**
 * The edges lie deep in every part, and most processes inject no faults: the one switchboard of a process is found here, and
 * nothing is wrapped while there is none.
 */
let present: Switchboard | null = null;

/** Null unless somebody asked for faults. */
export const switchboard = (): Switchboard | null => present;

/**
 * From now on the edges that are opened ask this switchboard. Answers with what ends that. Throws STATE_CONFLICT where another
 * one is in use: which daemon of a process a passage belongs to cannot be told.
 */
export function useSwitchboard(board: Switchboard): () => void {
  if (present && present !== board)
    throw new HildaError('STATE_CONFLICT', 'faults are injected into this process already', {
      hint: 'Stop the other daemon first, or run it in a process of its own.',
    });
  present = board;
  return () => {
    if (present === board) present = null;
  };
}

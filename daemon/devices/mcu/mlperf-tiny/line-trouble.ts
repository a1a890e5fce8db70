import { HildaError } from '../../../core/errors.js';

/** What went wrong with an answer; `details.line` of the error. */
export type LineTrouble = 'unanswered' | 'damaged' | 'refused' | 'restarted' | 'untimed';

const hints: Readonly<Record<LineTrouble, string>> = {
  unanswered: 'Is the MLPerf Tiny firmware running, and the baud rate 115,200 (9,600 for energy)?',
  damaged: 'The line damages bytes: try a shorter cable, or a port that no other program uses.',
  refused: 'The firmware does not know the command, or the line damages bytes.',
  restarted: 'The board restarts by itself: is its supply sound?',
  untimed: 'Build the firmware for performance measurement.',
};

export const trouble = (line: LineTrouble, message: string): HildaError =>
  new HildaError('DEVICE_FAILED', message, {
    hint: hints[line],
    details: { line, ...(line === 'unanswered' && { unanswered: true }) },
  });

/** What asking again may cure. */
export const isTrouble = (error: unknown): error is HildaError =>
  error instanceof HildaError && error.code === 'DEVICE_FAILED' && error.details.line !== undefined;

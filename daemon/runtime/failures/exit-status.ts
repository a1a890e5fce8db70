import type { ErrorCode } from '../../core/errors.js';
import type { Suspect } from './contract.js';

/** What the end of a program says by its number alone. */
export interface ExitMeaning {
  readonly means: string;
  readonly code: ErrorCode;
  readonly suspect?: Suspect;
  readonly memory?: true;
}

/**
 * Signals by the numbers of Linux on ARM and x86 (signal(7)). A shell tells a program's signal as 128 plus its number, 126
 * and 127 for a program that never ran (POSIX.1-2017, XCU 2.8.2).
 */
const signals: ReadonlyMap<number, { readonly name: string } & ExitMeaning> = new Map([
  signal(4, 'SIGILL', 'an instruction that the processor lacks', { suspect: 'device' }),
  signal(5, 'SIGTRAP', 'a trap'),
  signal(6, 'SIGABRT', 'it aborted'),
  signal(7, 'SIGBUS', 'an address that no memory or file answers'),
  signal(8, 'SIGFPE', 'an arithmetic error'),
  signal(9, 'SIGKILL', 'killed by the out-of-memory killer, or by hand', { memory: true }),
  signal(11, 'SIGSEGV', 'a segmentation fault'),
  signal(13, 'SIGPIPE', 'its reader left', { suspect: 'device' }),
  signal(15, 'SIGTERM', 'somebody ended it', { suspect: 'device' }),
  signal(31, 'SIGSYS', 'a system call that is forbidden', { suspect: 'device' }),
]);

function signal(
  number: number,
  name: string,
  means: string,
  accused: Pick<ExitMeaning, 'suspect' | 'memory'> = {},
): [number, { readonly name: string } & ExitMeaning] {
  return [number, { name, means, code: 'DEVICE_FAILED', ...accused }];
}

const statuses: ReadonlyMap<number, ExitMeaning> = new Map<number, ExitMeaning>([
  [124, { means: 'it ran out of time', code: 'DEVICE_TIMEOUT' }],
  [
    126,
    {
      means: 'it cannot be executed: another ABI, or no permission',
      code: 'DEVICE_FAILED',
      suspect: 'device',
    },
  ],
  [127, { means: 'the program, or its loader, is not there', code: 'DEVICE_FAILED', suspect: 'device' }],
  [255, { means: 'its connection ended', code: 'DEVICE_FAILED', suspect: 'device' }],
]);

/** Statuses of a shell whose program never began: no word of it can be about a network. */
const neverRan: ReadonlySet<number> = new Set([126, 127]);

export interface ProgramEnd {
  /** Null where a signal ended it. */
  readonly code: number | null;
  readonly signal?: string | null;
}

/** What an end means; undefined for a number that says nothing but failure. */
export function exitMeaning({ code, signal }: ProgramEnd): ExitMeaning | undefined {
  const named = [...signals.values()].find(({ name }) => name === signal);
  if (named) return named;
  if (code === null) return undefined;
  return statuses.get(code) ?? (code > 128 ? signals.get(code - 128) : undefined);
}

/** Whether the end alone counts, with any last words of the program. */
export const isBeforeItsFirstWord = ({ code }: ProgramEnd): boolean => code !== null && neverRan.has(code);

/** How it ended, for people. */
export function toldEnd(end: ProgramEnd): string {
  const how = end.signal ? `was killed by ${end.signal}` : `ended with code ${end.code}`;
  const meaning = exitMeaning(end);
  return meaning ? `${how} (${meaning.means})` : how;
}

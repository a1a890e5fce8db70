import type { Clock } from '../../core/clock.js';
import { printable, printableLine } from '../../core/printable.js';
import { betweenSequences } from './layout.js';
import type { Terminal } from './terminal.js';
import { cutTo } from './text-width.js';

/** What is used of `process.stdout` and `process.stderr`. */
export interface Stream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  /** Heeds NO_COLOR, FORCE_COLOR and TERM. */
  hasColors?(count: number, env: Readonly<Record<string, string | undefined>>): boolean;
  write(text: string): unknown;
}

export interface TerminalParts {
  readonly stdout: Stream;
  readonly stderr: Stream;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** To the start of the line, and clears it: ECMA-48, EL. */
const clearLine = '\r\u001b[2K';

/** The terminal of a process. Names from outside cannot move its cursor: see `printable`. */
export function openTerminal({ stdout, stderr, clock, signal, env }: TerminalParts): Terminal {
  const interactive = stderr.isTTY === true && env.TERM !== 'dumb';
  const colours = stdout.isTTY === true && stdout.hasColors?.(16, env) === true;
  let hasStatus = false;
  const removeStatus = (): void => {
    if (hasStatus) stderr.write(clearLine);
    hasStatus = false;
  };
  return {
    clock,
    signal,
    env,
    interactive,
    colours,
    // Read at each use: a window changes its size.
    get columns() {
      return stdout.isTTY === true && stdout.columns ? stdout.columns : null;
    },
    out(text) {
      removeStatus();
      stdout.write(`${colours ? betweenSequences(text, printable) : printable(text)}\n`);
    },
    note(text) {
      removeStatus();
      stderr.write(`${printable(text)}\n`);
    },
    status(text) {
      if (!interactive) return;
      // A line that reaches the last column would wrap, and a wrapped line cannot be rewritten.
      stderr.write(clearLine + cutTo(printableLine(text), (stderr.columns || 80) - 1));
      hasStatus = true;
    },
  };
}

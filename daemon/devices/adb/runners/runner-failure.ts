import { HildaError } from '../../../core/errors.js';
import { runtimeFailure } from '../../../runtime/runtime-failure.js';
import { lastLines } from './report.js';

/** Signals of Linux that end programs, by number (signal(7)). */
const signals: ReadonlyMap<number, string> = new Map([
  [1, 'SIGHUP'],
  [2, 'SIGINT'],
  [3, 'SIGQUIT'],
  [4, 'SIGILL'],
  [5, 'SIGTRAP'],
  [6, 'SIGABRT'],
  [7, 'SIGBUS'],
  [8, 'SIGFPE'],
  [9, 'SIGKILL'],
  [11, 'SIGSEGV'],
  [13, 'SIGPIPE'],
  [15, 'SIGTERM'],
  [24, 'SIGXCPU'],
  [31, 'SIGSYS'],
]);

/** What shell, linker and kernel of Android say of a program that never got to a network. */
const neverStarted =
  /inaccessible or not found|not executable|Permission denied|Exec format error|CANNOT LINK EXECUTABLE|library "[^"]*" not found|No such file or directory|No space left on device|Read-only file system|taskset:|can't execute|has unexpected e_machine|Bad system call/i;

export interface RunnerEnd {
  readonly runner: string;
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * What the end of a runner means. A program that did not start, or that a signal ended, is the device's matter
 * (DEVICE_FAILED); else its own words decide. Exit status, signal and last lines are in the details, as evidence.
 */
export function runnerFailure({ runner, exitCode, stdout, stderr }: RunnerEnd): HildaError {
  const words = lastLines(stderr.trim() === '' ? stdout : stderr);
  const signal = exitCode > 128 ? (signals.get(exitCode - 128) ?? `signal ${exitCode - 128}`) : null;
  const started = exitCode !== 126 && exitCode !== 127 && !neverStarted.test(words);
  const ending =
    signal === null
      ? `${runner} ${started ? 'ended' : 'did not start: it ended'} with exit status ${exitCode}`
      : `${runner} was ended by ${signal}`;
  const message = words === '' ? ending : `${ending}: ${words}`;
  const details = {
    exitStatus: exitCode,
    signal,
    started,
    stderr: lastLines(stderr),
    stdout: lastLines(stdout),
  };
  if (!started || signal !== null || words === '')
    return new HildaError('DEVICE_FAILED', message, {
      details,
      hint: started
        ? 'Run it by hand on the phone: memory may be short, or the program may not fit the phone.'
        : 'See what the phone allows with `hilda doctor`: the program must fit its ABI and may need libraries.',
    });
  const cause = runtimeFailure(new Error(`${words}\n${lastLines(stdout)}`));
  return new HildaError(cause.code, message, { cause, details });
}

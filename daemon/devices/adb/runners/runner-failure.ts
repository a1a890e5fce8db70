import { HildaError } from '../../../core/errors.js';
import { programFailure } from '../../../runtime/runtime-failure.js';
import { lastLines } from './report.js';

export interface RunnerEnd {
  readonly runner: string;
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * What the end of a runner means, by `programFailure`. Its exit status, signal and last lines are in the details, as evidence.
 * Some releases print their failures to one stream, some to the other.
 */
export function runnerFailure({ runner, exitCode, stdout, stderr }: RunnerEnd): HildaError {
  const [said, complained] = [lastLines(stdout), lastLines(stderr)];
  const error = programFailure(runner, { code: exitCode }, `${said}\n${complained}`);
  return new HildaError(error.code, error.message, {
    cause: error,
    hint: 'Run it by hand on the phone; `hilda doctor` says what the phone allows.',
    details: {
      ...error.details,
      exitStatus: exitCode,
      // A shell tells a program's signal as 128 plus its number.
      signal: exitCode > 128 && exitCode < 193 ? exitCode - 128 : null,
      stderr: complained,
      stdout: said,
    },
  });
}

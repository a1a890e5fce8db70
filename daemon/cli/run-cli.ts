import { CommanderError } from 'commander';
import { toProblem } from '../api/problem.js';
import { asHildaError, HildaError } from '../core/errors.js';
import type { Terminal } from './context.js';
import { buildProgram } from './program.js';

/**
 * Runs one command line (without `node` and the script) and answers with its exit code, which comes from the error
 * table. An error goes to stderr: with --json as a problem document, otherwise as a sentence and a hint.
 */
export async function runCli(args: readonly string[], terminal: Terminal): Promise<number> {
  const json = args.includes('--json');
  try {
    const program = await buildProgram(args, terminal);
    await program.parseAsync([...args], { from: 'user' });
    return 0;
  } catch (thrown) {
    if (thrown instanceof CommanderError && thrown.exitCode === 0) return 0;
    const error =
      toUsageError(thrown) ?? (terminal.signal.aborted ? interrupted(thrown) : asHildaError(thrown));
    terminal.note(
      json ? JSON.stringify(toProblem(error)) : `hilda: ${error.message} [${error.code}]\n${error.hint}`,
    );
    return error.exitCode;
  }
}

function toUsageError(thrown: unknown): HildaError | undefined {
  if (!(thrown instanceof CommanderError)) return undefined;
  const message =
    thrown.code === 'commander.help' ? 'a command is missing' : thrown.message.replace(/^error: /, '');
  return new HildaError('USAGE_INVALID', message, { cause: thrown });
}

const interrupted = (cause: unknown): HildaError =>
  new HildaError('INTERRUPTED', 'stopped by a signal', { cause });

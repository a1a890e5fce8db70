import { type Command, CommanderError } from 'commander';
import { toProblem } from '../api/problem.js';
import { asHildaError, errorTable, HildaError } from '../core/errors.js';
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
    await checkHelpWords(program, args);
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

/** What commander suggests goes to the hint: a message is one line. */
function toUsageError(thrown: unknown): HildaError | undefined {
  if (!(thrown instanceof CommanderError)) return undefined;
  const said =
    thrown.code === 'commander.help' ? 'a command is missing' : thrown.message.replace(/^error: /, '');
  const [message = '', ...more] = said.split('\n');
  const suggestion = more.join(' ').replace(/^\((.*)\)$/, '$1');
  return usageError(message, suggestion, thrown);
}

const usageError = (message: string, suggestion: string, cause?: unknown): HildaError =>
  new HildaError('USAGE_INVALID', message, {
    cause,
    ...(suggestion !== '' && { hint: `${suggestion} ${errorTable.USAGE_INVALID.hint}` }),
  });

/** Asked for help with a command that does not exist, commander would give the help of the one above it, and no error. */
async function checkHelpWords(program: Command, args: readonly string[]): Promise<void> {
  const words = operands(args);
  const isAsked = args.includes('--help') || args.includes('-h') || words.includes('help');
  if (!isAsked) return;
  let command: Command = program;
  for (const word of words.filter((one) => one !== 'help')) {
    if (command.commands.length === 0) return;
    const known = command.commands.map((one) => one.name());
    const next = command.commands.find((one) => one.name() === word);
    if (!next) {
      // Only who errs needs it.
      const { findId } = await import('../core/id-beginnings.js');
      const found = findId(known, word);
      const near = 'near' in found ? found.near : 'several' in found ? found.several : [found.id];
      throw usageError(
        `unknown command '${word}'`,
        near.length > 0 ? `Did you mean ${near.slice(0, 3).join(' or ')}?` : '',
      );
    }
    command = next;
  }
}

/** The words before the first option that is not global. */
function operands(args: readonly string[]): string[] {
  const words: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] as string;
    if (arg === '--host') i++;
    else if (!arg.startsWith('-')) words.push(arg);
    else if (!/^(--json|--host=.*|--help|-h)$/.test(arg)) break;
  }
  return words;
}

const interrupted = (cause: unknown): HildaError =>
  new HildaError('INTERRUPTED', 'stopped by a signal', { cause });

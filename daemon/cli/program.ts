import { Command } from 'commander';
import { hildaVersion } from '../process/installation.js';
import { commandGroups } from './command-groups.js';
import { defaultPort, type Terminal } from './context.js';

/** The command line that `args` need. Commands throw; who runs the program turns errors into exit codes. */
export async function buildProgram(args: readonly string[], terminal: Terminal): Promise<Command> {
  const program = new Command('hilda')
    .configureHelp({ subcommandTerm: (command) => command.name() })
    .description(
      'Measures candidate networks on real devices, learns their cost, searches under hard limits.',
    )
    .version(hildaVersion())
    .option('--json', 'answer with one JSON document; errors too, on stderr')
    .option('--host <url>', `the daemon (also HILDA_HOST; default http://127.0.0.1:${defaultPort})`)
    .addHelpText(
      'after',
      '\nExit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 no device, 5 measurement not valid, 6 limits missed,\n7 daemon unreachable, 8 refused, 9 device error, 124 time-out, 130 interrupted. See docs/errors.md.',
    );
  for (const [name, { description, load }] of commandGroups) {
    // The others only stand in the help: loading every command would take longer than most of them run.
    const command = args.includes(name) ? (await load())(terminal) : new Command(name);
    program.addCommand(command.description(description));
  }
  prepare(program, terminal);
  return program;
}

/** Options that hold everywhere, and errors thrown rather than printed, on every level. */
function prepare(command: Command, terminal: Terminal): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => terminal.out(text.trimEnd()),
    // The message is printed once, where the error is caught.
    writeErr: (text) => {
      if (!text.startsWith('error:')) terminal.note(text.trimEnd());
    },
  });
  if (command.parent && command.commands.length === 0) {
    command
      .option('--json', 'answer with one JSON document')
      .option('--host <url>', 'the daemon to speak to');
  }
  for (const child of command.commands) prepare(child, terminal);
}

import { Command } from 'commander';
import { agentCommand } from './commands/agent.js';
import { deployCommand } from './commands/deploy.js';
import { devicesCommand } from './commands/devices.js';
import { doctorCommand } from './commands/doctor.js';
import { exportCommand } from './commands/export.js';
import { lutCommand } from './commands/lut.js';
import { measureCommand } from './commands/measure.js';
import { predictorCommand } from './commands/predictor.js';
import { profileCommand } from './commands/profile.js';
import { runCommand } from './commands/run.js';
import { searchCommand } from './commands/search.js';
import { statusCommand } from './commands/status.js';
import { trainCommand } from './commands/train.js';
import { upCommand } from './commands/up.js';
import { defaultPort, type Terminal } from './context.js';
import { hildaVersion } from './installation.js';

/** The whole command line. Commands throw; who runs the program turns errors into exit codes. */
export function buildProgram(terminal: Terminal): Command {
  const program = new Command('hilda')
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
  for (const command of [
    upCommand,
    statusCommand,
    devicesCommand,
    agentCommand,
    measureCommand,
    profileCommand,
    deployCommand,
    runCommand,
    exportCommand,
    doctorCommand,
    searchCommand,
    predictorCommand,
    lutCommand,
    trainCommand,
  ]) {
    program.addCommand(command(terminal));
  }
  prepare(program, terminal);
  return program;
}

/** Options that hold everywhere, and errors thrown rather than printed, on every level. */
function prepare(command: Command, terminal: Terminal): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => terminal.out(text.trimEnd()),
    // The message is printed once, by whoever catches the error.
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

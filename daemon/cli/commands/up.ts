import { Command, InvalidArgumentError } from 'commander';
import { defaultPort, lazily, type Terminal } from '../context.js';
import { coresOption, runnerOption } from '../phone-options.js';
import { pluginFolderOption, pluginOption } from '../plugin-options.js';

function portNumber(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new InvalidArgumentError('It must be a whole number from 0 to 65535.');
  return port;
}

export const upCommand = (terminal: Terminal): Command =>
  new Command('up')
    .option('--port <number>', 'port on 127.0.0.1; 0 takes a free one', portNumber, defaultPort)
    .option('--data <folder>', 'database and blobs (also HILDA_DATA; default $XDG_STATE_HOME/hilda)')
    .option(
      '--lan [port]',
      `let phones and agents of your networks join, by https (default port ${defaultPort + 1})`,
      portNumber,
    )
    .option('--lan-api', 'serve the API and the page there too, by https, to those who show a token')
    .option('--lan-http [port]', 'the same by plain http: the basic tier', portNumber)
    .option(
      '--allow-evaluators <file>',
      'a list of evaluators that tokens may name, though they run programs or name files',
    )
    .option(
      '--log-level <level>',
      'fatal, error, warn, info, debug, trace or silent (also HILDA_LOG_LEVEL; default info)',
    )
    .option('--adb', "start adb's server where none runs; one that runs is used in any case")
    .addOption(runnerOption())
    .addOption(coresOption())
    .addOption(pluginOption())
    .addOption(pluginFolderOption())
    // Loaded when it runs: the other commands need no databases and runtimes.
    .action(lazily(terminal, async () => (await import('../actions/up.js')).up));

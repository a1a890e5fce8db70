import { Command, InvalidArgumentError } from 'commander';
import { HildaError } from '../../core/errors.js';
import { act, type CliContext, defaultPort, type Terminal } from '../context.js';
import { coresOption, runnerOption } from '../phone-options.js';
import { pluginFolderOption, pluginOption } from '../plugin-options.js';
import { dataFolder } from '../state-folder.js';

interface Options {
  readonly port: number;
  readonly data?: string;
  readonly lan?: number | true;
  readonly lanApi?: boolean;
  readonly lanHttp?: number | true;
  readonly allowEvaluators?: string;
  readonly adb?: boolean;
  readonly runner?: readonly string[];
  readonly cores?: readonly string[];
  readonly plugin?: readonly string[];
  readonly pluginFolder?: readonly string[];
}

/** Service managers and people wait for a stop; what is left undone is taken up at the next start. */
const stopMs = 3000;
const defaultLanPort = defaultPort + 1;

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
      `let phones and agents of your networks join, by https (default port ${defaultLanPort})`,
      portNumber,
    )
    .option('--lan-api', 'serve the API and the page there too, by https, to those who show a token')
    .option('--lan-http [port]', 'the same by plain http: the basic tier', portNumber)
    .option(
      '--allow-evaluators <file>',
      'a list of evaluators that tokens may name, though they run programs or name files',
    )
    .option('--adb', "start adb's server where none runs; one that runs is used in any case")
    .addOption(runnerOption())
    .addOption(coresOption())
    .addOption(pluginOption())
    .addOption(pluginFolderOption())
    .action(act(terminal, up));

async function up(
  context: CliContext,
  { port, data, lan, lanApi, lanHttp, allowEvaluators, adb, runner, cores, plugin, pluginFolder }: Options,
): Promise<void> {
  const { terminal } = context;
  if (lanApi && lan === undefined)
    throw new HildaError('USAGE_INVALID', '--lan-api needs --lan', {
      hint: 'The API is served to networks by https alone.',
    });
  const allowed =
    allowEvaluators === undefined
      ? []
      : await (await import('../allowed-evaluators.js')).readAllowed(allowEvaluators);
  const dataDir = dataFolder(data, terminal.env);
  // Loaded here, so that the other commands need not load databases and runtimes.
  const [{ pino }, { Daemon }, { readPluginSettings }] = await Promise.all([
    import('pino'),
    import('../../process/daemon.js'),
    import('../../plugins/read-settings.js'),
  ]);
  const plugins = await readPluginSettings(dataDir, {
    ...(plugin && { names: plugin }),
    ...(pluginFolder && { folders: pluginFolder }),
  });
  const log = pino({ base: null }, pino.destination({ dest: 2, sync: true }));
  const { HILDA_FAULTS: faultFile } = terminal.env;
  const faults = faultFile ? await (await import('../read-faults.js')).readFaults(faultFile, log) : undefined;
  const daemon = new Daemon({
    dataDir,
    port,
    clock: terminal.clock,
    plugins,
    allowedEvaluators: allowed,
    ...(faults && { faults }),
    adb: { ...(adb && { start: true }), ...(runner && { runners: runner }), ...(cores && { cores }) },
    lan: {
      ...(lan !== undefined && { https: lan === true ? defaultLanPort : lan }),
      ...(lanApi && { api: true }),
      ...(lanHttp !== undefined && { http: lanHttp === true ? defaultLanPort + 1 : lanHttp }),
    },
    onError: (error, place) =>
      log.error({ code: error.code, place, err: error.cause ?? error }, error.message),
    onAudit: (entry) => log.info({ audit: entry }, 'asked for'),
  });
  const url = await daemon.start(terminal.signal).catch((thrown: unknown) => {
    if (terminal.signal.aborted) return undefined;
    throw thrown;
  });
  // Told to stop while it started: it has, and that is no failure.
  if (url === undefined) return log.info('hilda is down');
  try {
    log.info({ url, dataDir }, 'hilda is up');
    const page = daemon.pageLink();
    context.answer('up', { url, dataDir, page }, () => `hilda is up: ${url}\nopen the page: ${page}`);
    await aborted(terminal.signal);
  } finally {
    await daemon
      .stop({ withinMs: stopMs })
      .catch((thrown: unknown) => log.error({ err: thrown }, 'a part did not stop as it should'));
    log.info('hilda is down');
  }
}

/** A daemon that is told to stop has done its work: this resolves. */
const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });

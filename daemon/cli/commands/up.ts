import { mkdir } from 'node:fs/promises';
import { Command, InvalidArgumentError } from 'commander';
import { act, type CliContext, defaultPort, type Terminal } from '../context.js';
import { coresOption, runnerOption } from '../phone-options.js';
import { pluginFolderOption, pluginOption } from '../plugin-options.js';
import { stateFolder } from '../state-folder.js';

interface Options {
  readonly port: number;
  readonly data?: string;
  readonly lan?: number | true;
  readonly lanHttp?: number | true;
  readonly adb?: boolean;
  readonly runner?: readonly string[];
  readonly cores?: readonly string[];
  readonly plugin?: readonly string[];
  readonly pluginFolder?: readonly string[];
}

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
    .option('--lan-http [port]', 'the same by plain http: the basic tier', portNumber)
    .option('--adb', "start adb's server where none runs; one that runs is used in any case")
    .addOption(runnerOption())
    .addOption(coresOption())
    .addOption(pluginOption())
    .addOption(pluginFolderOption())
    .action(act(terminal, up));

async function up(
  context: CliContext,
  { port, data, lan, lanHttp, adb, runner, cores, plugin, pluginFolder }: Options,
): Promise<void> {
  const { terminal } = context;
  const dataDir = data ?? terminal.env.HILDA_DATA ?? stateFolder(terminal.env);
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
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
  const daemon = new Daemon({
    dataDir,
    port,
    clock: terminal.clock,
    plugins,
    adb: { ...(adb && { start: true }), ...(runner && { runners: runner }), ...(cores && { cores }) },
    lan: {
      ...(lan !== undefined && { https: lan === true ? defaultLanPort : lan }),
      ...(lanHttp !== undefined && { http: lanHttp === true ? defaultLanPort + 1 : lanHttp }),
    },
    onError: (error, place) =>
      log.error({ code: error.code, place, err: error.cause ?? error }, error.message),
    onAudit: (entry) => log.info({ audit: entry }, 'asked for'),
  });
  const url = await daemon.start(terminal.signal);
  try {
    log.info({ url, dataDir }, 'hilda is up');
    const page = daemon.pageLink();
    context.answer('up', { url, dataDir, page }, () => `hilda is up: ${url}\nopen the page: ${page}`);
    await aborted(terminal.signal);
  } finally {
    await daemon.stop();
    log.info('hilda is down');
  }
}

/** A daemon that is told to stop has done its work: this resolves. */
const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });

import { HildaError } from '../../core/errors.js';
import { readPluginSettings } from '../../plugins/read-settings.js';
import { Daemon } from '../../process/daemon.js';
import { type LogLevel, logLevels, openLog } from '../../process/log.js';
import { isJournal, ServiceManager } from '../../process/service-manager.js';
import { readAllowed } from '../allowed-evaluators.js';
import { type CliContext, defaultPort } from '../context.js';
import { dataFolder } from '../state-folder.js';

export interface UpOptions {
  readonly port: number;
  readonly data?: string;
  readonly lan?: number | true;
  readonly lanApi?: boolean;
  readonly lanHttp?: number | true;
  readonly allowEvaluators?: string;
  readonly logLevel?: string;
  readonly adb?: boolean;
  readonly runner?: readonly string[];
  readonly cores?: readonly string[];
  readonly plugin?: readonly string[];
  readonly pluginFolder?: readonly string[];
}

/** Service managers and people wait for a stop; what is left undone is taken up at the next start. */
const stopMs = 3000;
const defaultLanPort = defaultPort + 1;

export async function up(
  context: CliContext,
  {
    port,
    data,
    lan,
    lanApi,
    lanHttp,
    allowEvaluators,
    logLevel,
    adb,
    runner,
    cores,
    plugin,
    pluginFolder,
  }: UpOptions,
): Promise<void> {
  const { terminal } = context;
  const { clock, env, signal } = terminal;
  if (lanApi && lan === undefined)
    throw new HildaError('USAGE_INVALID', '--lan-api needs --lan', {
      hint: 'The API is served to networks by https alone.',
    });
  const level = levelOf(logLevel ?? env.HILDA_LOG_LEVEL ?? 'info');
  const allowed = allowEvaluators === undefined ? [] : await readAllowed(allowEvaluators);
  const dataDir = dataFolder(data, env);
  const plugins = await readPluginSettings(dataDir, {
    ...(plugin && { names: plugin }),
    ...(pluginFolder && { folders: pluginFolder }),
  });
  const log = openLog(level);
  const { HILDA_FAULTS: faultFile } = env;
  const faults = faultFile ? await (await import('../read-faults.js')).readFaults(faultFile, log) : undefined;
  const manager = ServiceManager.take(env, {
    clock,
    onFailure: (error) => log.warn({ hint: error.hint }, error.message),
  });
  const daemon = new Daemon({
    dataDir,
    port,
    ...(manager.socket !== undefined && { socket: manager.socket }),
    clock,
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
    ...(log.isLevelEnabled('debug') && { onRead: (entry) => log.debug({ audit: entry }, 'read') }),
  });
  const life = new AbortController();
  const started = new AbortController();
  const telling = manager.starting(
    async () =>
      (await daemon.readiness.notReady()).map(({ part, why }) => `${part}: ${why}`)[0] ?? 'it starts',
    started.signal,
  );
  const url = await daemon
    .start(signal)
    .catch((thrown: unknown) => {
      if (signal.aborted) return undefined;
      throw thrown;
    })
    .finally(() => started.abort());
  // Told to stop while it started: it has, and that is no failure.
  if (url === undefined) return log.info('hilda is down');
  try {
    log.info({ url, dataDir }, 'hilda is up');
    // A journal is read by more people than may open the page.
    const page = isJournal(1, env) ? null : daemon.pageLink();
    context.answer('up', { url, dataDir, page }, () =>
      [`hilda is up: ${url}`, page === null ? 'open the page: hilda open' : `open the page: ${page}`].join(
        '\n',
      ),
    );
    await telling;
    await manager.ready(`it serves at ${url}`);
    void manager.watch(
      async (withinMs) => (await daemon.readiness.notReady(withinMs)).length === 0,
      life.signal,
    );
    await aborted(signal);
  } finally {
    life.abort();
    void manager.stopping();
    await daemon
      .stop({ withinMs: stopMs })
      .catch((thrown: unknown) => log.error({ err: thrown }, 'a part did not stop as it should'));
    log.info('hilda is down');
  }
}

/** Throws USAGE_INVALID. */
function levelOf(text: string): LogLevel {
  const level = logLevels.find((one) => one === text);
  if (level) return level;
  throw new HildaError('USAGE_INVALID', `${text} is no level of the log`, {
    hint: `Levels are ${logLevels.join(', ')}.`,
  });
}

/** A daemon that is told to stop has done its work: this resolves. */
const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });

import { hostname } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { pino } from 'pino';
import { HildaError } from '../../core/errors.js';
import { connectWs } from '../connect-ws.js';
import { act, type CliContext, type Terminal } from '../context.js';
import { stateFolder } from '../state-folder.js';

interface Options {
  readonly token?: string;
  readonly fingerprint?: string;
  readonly data?: string;
  readonly name: string;
  readonly adb?: boolean;
  readonly runner?: string;
}

export const agentJoinCommand = (terminal: Terminal): Command =>
  new Command('join')
    .description("put this machine's devices in the service of a daemon elsewhere, until a signal stops it")
    .argument('<url>', 'for example wss://192.168.1.20:4381; the daemon prints it: `hilda agent token`')
    .option('--token <token>', 'needed the first time only: it is exchanged for a key')
    .option('--fingerprint <sha256>', "the daemon's certificate, when it made its own")
    .option('--data <folder>', 'key, models and unsent results (default $XDG_STATE_HOME/hilda/agent)')
    .option('--name <name>', 'what people call this machine', hostname())
    .option('--adb', "start adb's server where none runs; one that runs is used in any case")
    .option('--runner <path>', 'an onnxruntime_perf_test for the phones, in place of their browser')
    .action(act(terminal, joinAsAgent));

async function joinAsAgent(context: CliContext, url: string, options: Options): Promise<void> {
  const { terminal } = context;
  const { token, fingerprint, name, adb, runner } = options;
  if (!/^wss?:$/.test(URL.canParse(url) ? new URL(url).protocol : ''))
    throw new HildaError('USAGE_INVALID', `${url} is no ws address`, {
      hint: 'For example: wss://host:4381',
    });
  const dataDir = options.data ?? join(terminal.env.HILDA_DATA ?? stateFolder(terminal.env), 'agent');
  const log = pino({ base: null }, pino.destination({ dest: 2, sync: true }));
  // Loaded here, so that the other commands need not load runtimes.
  const [{ Agent }, { createDrivers }, { openAgentPhones }] = await Promise.all([
    import('../../fleet/agent/agent.js'),
    import('../../devices/registry.js'),
    import('../agent-phones.js'),
  ]);
  const phones = await openAgentPhones(
    {
      clock: terminal.clock,
      ...(adb !== undefined && { start: adb }),
      ...(runner !== undefined && { runnerPath: runner }),
    },
    terminal.signal,
  );
  const agent = new Agent({
    name,
    dataDir,
    drivers: createDrivers({ adb: phones.adb }),
    clock: terminal.clock,
    ...(token !== undefined && { token }),
    connect: ({ signal, visit }) =>
      connectWs(doorAt(url, visit), {
        signal,
        ...(fingerprint !== undefined && { fingerprint }),
      }),
    onEvent: (event, details) => log.info(details, event),
  });
  await agent.run(terminal.signal).finally(() => phones.stop());
  context.answer('agent', { stopped: true }, () => 'the agent has stopped');
}

function doorAt(url: string, visit: string | undefined): string {
  const door = new URL('/v1/agents/join', url);
  if (visit !== undefined) door.searchParams.set('visit', visit);
  return door.href;
}

import { pino } from 'pino';
import { Agent } from '../../../agent/agent.js';
import { KnownDaemonFile } from '../../../agent/known-daemon.js';
import { HildaError } from '../../../core/errors.js';
import { thisMachine } from '../../../devices/own-machine.js';
import { openDrivers } from '../../../devices/registry.js';
import { useSwitchboard } from '../../../faults/present.js';
import { loadPlugins } from '../../../plugins/load-plugins.js';
import { readPluginSettings } from '../../../plugins/read-settings.js';
import { openAgentPhones } from '../../../process/agent-phones.js';
import { DaemonDialer } from '../../../process/dial-daemon.js';
import { isHash } from '../../../process/trust.js';
import type { CliContext } from '../../context.js';
import { readFaults } from '../../read-faults.js';
import { agentFolder } from '../../state-folder.js';

interface Options {
  readonly address: readonly string[];
  readonly token?: string;
  readonly pin?: string;
  readonly fingerprint?: string;
  readonly data?: string;
  readonly name: string;
  readonly takeOver?: boolean;
  readonly adb?: boolean;
  readonly runner?: readonly string[];
  readonly cores?: readonly string[];
  readonly plugin?: readonly string[];
  readonly pluginFolder?: readonly string[];
}

export async function joinAsAgent(
  context: CliContext,
  url: string | undefined,
  options: Options,
): Promise<void> {
  const { terminal } = context;
  const {
    token,
    pin,
    fingerprint,
    name,
    takeOver = false,
    adb,
    runner,
    cores,
    plugin,
    pluginFolder,
  } = options;
  const given = [...(url === undefined ? [] : [url]), ...options.address];
  for (const one of given) assertAddress(one);
  assertHash('--pin', pin);
  assertHash('--fingerprint', fingerprint);
  const dataDir = agentFolder(options.data, terminal.env);
  const log = pino({ base: null }, pino.destination({ dest: 2, sync: true }));
  const { HILDA_FAULTS: faultFile } = terminal.env;
  if (faultFile) useSwitchboard(await readFaults(faultFile, log));
  const memory = new KnownDaemonFile(dataDir);
  if (!(await memory.read()))
    log.warn(
      { dataDir },
      'daemon.json cannot be read: addresses and key of the daemon are as the command says',
    );
  const dialer = new DaemonDialer({
    given,
    trust: { ...(pin !== undefined && { pin }), ...(fingerprint !== undefined && { fingerprint }) },
    memory,
    onEvent: (event, details) => log.warn(details, event),
  });
  if (dialer.addresses().length === 0)
    throw new HildaError('USAGE_INVALID', 'no address of a daemon is known', {
      hint: 'Name one, with wss:// where a key is pinned: `hilda agent token` on its machine prints the command.',
    });
  const { plugins, folders } = await readPluginSettings(dataDir, {
    ...(plugin && { names: plugin }),
    ...(pluginFolder && { folders: pluginFolder }),
  });
  const loaded = await loadPlugins(plugins, {
    folders,
    clock: terminal.clock,
    // Agents measure and evaluate nothing.
    evaluatorKinds: [],
  });
  const phones = await openAgentPhones(
    {
      clock: terminal.clock,
      ...(adb !== undefined && { start: adb }),
      ...(runner && { runners: runner }),
      ...(cores && { cores }),
    },
    terminal.signal,
  );
  const { drivers, unusable } = await openDrivers({ adb: phones.adb });
  for (const { kind, obstacle } of unusable)
    log.warn({ kind, obstacle }, 'devices of this kind cannot be used');
  const agent = new Agent({
    name,
    dataDir,
    drivers: [...drivers, ...loaded.drivers],
    clock: terminal.clock,
    takeOver,
    ...(token !== undefined && { token }),
    boot: thisMachine().boot,
    connect: (call) => dialer.connect(call),
    onAddresses: (urls) => void dialer.announced(urls),
    onEvent: (event, details) => log.info(details, event),
  });
  await agent.run(terminal.signal).finally(() => phones.stop());
  context.answer('agent', { stopped: true }, () => 'the agent has stopped');
}

function assertAddress(url: string): void {
  if (/^wss?:$/.test(URL.canParse(url) ? new URL(url).protocol : '')) return;
  throw new HildaError('USAGE_INVALID', `${url} is no ws address`, { hint: 'For example: wss://host:4381' });
}

function assertHash(option: string, hash: string | undefined): void {
  if (hash === undefined || isHash(hash)) return;
  throw new HildaError('USAGE_INVALID', `${option} takes 64 hexadecimal digits, with or without colons`);
}

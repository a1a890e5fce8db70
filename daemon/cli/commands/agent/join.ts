import { hostname } from 'node:os';
import { Command, Option } from 'commander';
import { lazily, type Terminal } from '../../context.js';
import { coresOption, runnerOption } from '../../phone-options.js';
import { pluginFolderOption, pluginOption } from '../../plugin-options.js';

const also = (url: string, before: readonly string[]): string[] => [...before, url];

export const agentJoinCommand = (terminal: Terminal): Command =>
  new Command('join')
    .description("put this machine's devices in the service of a daemon elsewhere, until a signal stops it")
    .argument(
      '[url]',
      'for example wss://192.168.1.20:4381; the daemon prints it: `hilda agent token`. Once it joined, it may be left out',
    )
    .option('--address <url>', 'a further address of the same daemon; may be repeated', also, [])
    .addOption(
      new Option(
        '--token <token>',
        'needed the first time only: it is exchanged for a key; other users of this machine can read arguments, not the environment',
      ).env('HILDA_AGENT_TOKEN'),
    )
    .option('--pin <sha256>', "the daemon's public key, by which its own certificates are trusted")
    .option('--fingerprint <sha256>', 'one certificate of the daemon, as earlier versions named it')
    .option('--data <folder>', 'key, models and unsent results (default $XDG_STATE_HOME/hilda/agent)')
    .option('--name <name>', 'what people call this machine', hostname())
    .option('--take-over', 'end another agent that works with the same key')
    .option('--adb', "start adb's server where none runs; one that runs is used in any case")
    .addOption(runnerOption())
    .addOption(coresOption())
    .addOption(pluginOption())
    .addOption(pluginFolderOption())
    .action(lazily(terminal, async () => (await import('../../actions/agent/join.js')).joinAsAgent));

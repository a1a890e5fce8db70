import type { Command } from 'commander';
import type { Terminal } from './context.js';

interface Group {
  readonly description: string;
  load(): Promise<(terminal: Terminal) => Command>;
}

/** The commands of the first level, as the help lists them. One that the command line does not name is not loaded. */
export const commandGroups: ReadonlyMap<string, Group> = new Map<string, Group>([
  [
    'up',
    {
      description: 'run the daemon and its page until a signal stops it',
      load: async () => (await import('./commands/up.js')).upCommand,
    },
  ],
  [
    'status',
    {
      description: 'whether the daemon runs, and what it holds',
      load: async () => (await import('./commands/status.js')).statusCommand,
    },
  ],
  [
    'open',
    {
      description: 'open the page in a browser, by a link that works once',
      load: async () => (await import('./commands/open.js')).openCommand,
    },
  ],
  [
    'token',
    {
      description: 'who else may use the daemon: make, list and revoke tokens',
      load: async () => (await import('./commands/token.js')).tokenCommand,
    },
  ],
  [
    'devices',
    {
      description: 'what networks can be measured on',
      load: async () => (await import('./commands/devices/devices.js')).devicesCommand,
    },
  ],
  [
    'agent',
    {
      description: "other machines' devices in this daemon's service",
      load: async () => (await import('./commands/agent/agent.js')).agentCommand,
    },
  ],
  [
    'measure',
    {
      description: 'latency, memory and verdict of a network on a device; exit code 5 when not valid',
      load: async () => (await import('./commands/measure.js')).measureCommand,
    },
  ],
  [
    'history',
    {
      description: 'the measurements of a network on a device over time, and the changes of their level',
      load: async () => (await import('./commands/history.js')).historyCommand,
    },
  ],
  [
    'alerts',
    {
      description: 'series whose level changed: list, show, acknowledge, mute',
      load: async () => (await import('./commands/alerts/alerts.js')).alertsCommand,
    },
  ],
  [
    'webhooks',
    {
      description: 'who hears of alerts and of a daily digest: add, list, test, deliveries, remove',
      load: async () => (await import('./commands/alerts/webhooks.js')).webhooksCommand,
    },
  ],
  [
    'profile',
    {
      description:
        'cost of a network by operator; from a profiled run, so the times do not add up to the latency',
      load: async () => (await import('./commands/profile.js')).profileCommand,
    },
  ],
  [
    'deploy',
    {
      description: "puts a network with its weights into a board's flash, where it survives a reset",
      load: async () => (await import('./commands/deploy.js')).deployCommand,
    },
  ],
  [
    'run',
    {
      description: 'runs the network that a device holds, or that is kept for it, and gives its output',
      load: async () => (await import('./commands/run.js')).runCommand,
    },
  ],
  [
    'export',
    {
      description: "a network as source code for one's own firmware: runtime, operators used, weights",
      load: async () => (await import('./commands/export.js')).exportCommand,
    },
  ],
  [
    'doctor',
    {
      description:
        'why a board is not seen: groups, udev rules, ModemManager, baud rate, emulators; what each phone allows',
      load: async () => (await import('./commands/doctor.js')).doctorCommand,
    },
  ],
  [
    'backup',
    {
      description: 'copies the data folder, while the daemon runs or not, and checks the copy',
      load: async () => (await import('./commands/backup.js')).backupCommand,
    },
  ],
  [
    'restore',
    {
      description: 'makes a data folder of a backup',
      load: async () => (await import('./commands/restore.js')).restoreCommand,
    },
  ],
  [
    'prune',
    {
      description: 'forget old events and devices that were never used, by the policy',
      load: async () => (await import('./commands/prune.js')).pruneCommand,
    },
  ],
  [
    'check',
    {
      description: 'looks for damage in the data folder, and changes nothing',
      load: async () => (await import('./commands/check.js')).checkCommand,
    },
  ],
  [
    'jobs',
    {
      description: 'device work that waits, runs or ended: list, show, cancel, retry',
      load: async () => (await import('./commands/jobs/jobs.js')).jobsCommand,
    },
  ],
  [
    'campaigns',
    {
      description: 'measuring for predictors, and comparisons: list, show, cancel',
      load: async () => (await import('./commands/campaigns/campaigns.js')).campaignsCommand,
    },
  ],
  [
    'bench',
    {
      description:
        'networks on devices as a suite: run, compare with a baseline, export; exit code 6 when worse',
      load: async () => (await import('./commands/bench/bench.js')).benchCommand,
    },
  ],
  [
    'record',
    {
      description: 'what studies and benchmark runs heard from devices, as a file: export',
      load: async () => (await import('./commands/record/record.js')).recordCommand,
    },
  ],
  [
    'replay',
    {
      description:
        'run a recorded study or benchmark again without devices; exit code 1 where a value differs',
      load: async () => (await import('./commands/replay.js')).replayCommand,
    },
  ],
  [
    'schedule',
    {
      description:
        'suites, probes, health checks and backups at fixed times: add, list, show, pause, resume, remove',
      load: async () => (await import('./commands/schedule/schedule.js')).scheduleCommand,
    },
  ],
  [
    'fleet',
    {
      description: 'simulate: months of a virtual fleet in minutes, to try schedules and alerts',
      load: async () => (await import('./commands/fleet/fleet.js')).fleetCommand,
    },
  ],
  [
    'rollout',
    {
      description:
        'a network to many devices in waves, tested and put back: start, status, list, pause, resume, abort, history',
      load: async () => (await import('./commands/rollout/rollout.js')).rolloutCommand,
    },
  ],
  [
    'lease',
    {
      description: 'hold devices for yourself: acquire, renew, release, list',
      load: async () => (await import('./commands/lease/lease.js')).leaseCommand,
    },
  ],
  [
    'search',
    {
      description: 'find the best architectures of a space under the limits of devices',
      load: async () => (await import('./commands/search/search.js')).searchCommand,
    },
  ],
  [
    'predictor',
    {
      description: "learn a device's latency, and predict it with an interval",
      load: async () => (await import('./commands/predictor/predictor.js')).predictorCommand,
    },
  ],
  [
    'lut',
    {
      description: 'latency tables: build from your own device, export, import, check',
      load: async () => (await import('./commands/lut.js')).lutCommand,
    },
  ],
  [
    'train',
    {
      description: "train a space's super-network; goes on where its checkpoint stopped",
      load: async () => (await import('./commands/train.js')).trainCommand,
    },
  ],
]);

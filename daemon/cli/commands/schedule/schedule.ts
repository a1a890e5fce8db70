import { Command } from 'commander';
import { lazily, type Terminal } from '../../context.js';
import { wholeNumber } from '../../whole-number.js';

const actions = () => import('../../actions/schedule.js');

const withTiming = (command: Command): Command =>
  command
    .requiredOption('--cron <expression>', 'minute, hour, day of month, month, day of week: "0 3 * * *"')
    .option('--timezone <zone>', 'such as Europe/Berlin; the daemon’s where left out')
    .option('--window <times>', 'only between these times of day: 22:00-06:00')
    .option('--catch-up', 'fire once at the start where firings were missed');

const count = (text: string): number => wholeNumber(text, 'count', 1, 200);
const keep = (text: string): number => wholeNumber(text, 'keep', 1, 1000);

const addCommand = (terminal: Terminal): Command => {
  const add = new Command('add').description('do something at fixed times');
  add.addCommand(
    withTiming(
      new Command('suite')
        .description('run a benchmark suite; its models are uploaded now')
        .argument('<name>', 'of the schedule')
        .argument('<suite>', 'a YAML file: docs/benchmarks.md')
        .option('--compare <run>', 'hold each run against `baseline`, `last` or a run'),
    ).action(lazily(terminal, async () => (await actions()).addSuiteAction)),
  );
  add.addCommand(
    withTiming(
      new Command('probe')
        .description('measure networks that a predictor has not seen')
        .argument('<name>', 'of the schedule')
        .argument('<predictor>', 'its id')
        .option('--count <n>', 'networks each time', count, 10)
        .option('--refit', 'learn from them as soon as it drifted'),
    ).action(lazily(terminal, async () => (await actions()).addProbeAction)),
  );
  add.addCommand(
    withTiming(
      new Command('health')
        .description('measure a reference network on devices, and name those that fail')
        .argument('<name>', 'of the schedule')
        .argument('<devices...>', 'ids, target=MODEL or tag=TAG'),
    ).action(lazily(terminal, async () => (await actions()).addHealthAction)),
  );
  add.addCommand(
    withTiming(
      new Command('backup')
        .description('copy the data folder into the folder beside it, <data>-backups')
        .argument('<name>', 'of the schedule')
        .option('--keep <n>', 'so many backups stay', keep, 7),
    ).action(lazily(terminal, async () => (await actions()).addBackupAction)),
  );
  return add;
};

export const scheduleCommand = (terminal: Terminal): Command =>
  new Command('schedule')
    .addCommand(addCommand(terminal))
    .addCommand(
      new Command('list')
        .description('schedules, with their next firing')
        .action(lazily(terminal, async () => (await actions()).listAction)),
    )
    .addCommand(
      new Command('show')
        .description('a schedule, and what came of its firings')
        .argument('<name>', 'of the schedule')
        .action(lazily(terminal, async () => (await actions()).showAction)),
    )
    .addCommand(
      new Command('pause')
        .description('fire no more until it is resumed')
        .argument('<name>', 'of the schedule')
        .action(lazily(terminal, async () => (await actions()).pauseAction)),
    )
    .addCommand(
      new Command('resume')
        .description('fire again from now on')
        .argument('<name>', 'of the schedule')
        .action(lazily(terminal, async () => (await actions()).resumeAction)),
    )
    .addCommand(
      new Command('remove')
        .description('forget a schedule and its firings')
        .argument('<name>', 'of the schedule')
        .action(lazily(terminal, async () => (await actions()).removeAction)),
    );

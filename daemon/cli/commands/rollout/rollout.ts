import { Command, Option } from 'commander';
import { rolloutSteps } from '../../../store/state-names.js';
import { lazily, type Terminal } from '../../context.js';
import { trialNumber } from '../../trial-number.js';
import { wholeNumber } from '../../whole-number.js';

const actions = () => import('../../actions/rollout.js');

const several = (word: string, before: readonly string[]): string[] => [...before, word];
const limit = (text: string): number => wholeNumber(text, 'limit', 1, 1000);

const startCommand = (terminal: Terminal): Command =>
  new Command('start')
    .description('send a network to devices in waves; each is tested and measured, or put back')
    .argument('[spec]', 'a YAML or JSON file: docs/rollouts.md')
    .option('--study <id>', 'the network of a trial of this study')
    .option('--trial <number>', 'which trial of it', trialNumber)
    .option('--model <model>', 'the id of an uploaded model, or a file')
    .option('-d, --devices <selector>', 'ids, target=MODEL or tag=TAG; may be repeated', several, [])
    .option('--name <name>', 'what devices will say that they run')
    .option('--wave <size>', 'a count or a share such as 10%; may be repeated', several, [])
    .option('--pause-s <seconds>', 'between two waves', (text: string) =>
      wholeNumber(text, 'pause-s', 0, 2_592_000),
    )
    .option('--stop-after <count>', 'so many devices may fail', (text: string) =>
      wholeNumber(text, 'stop-after', 0, 100_000),
    )
    .option('--wait', 'until it ends or stops; exit code 6 where it stopped')
    .action(lazily(terminal, async () => (await actions()).startAction));

export const rolloutCommand = (terminal: Terminal): Command =>
  new Command('rollout')
    .addCommand(startCommand(terminal))
    .addCommand(
      new Command('status')
        .description('how far a rollout is, device by device')
        .argument('<rollout>', 'its id')
        .addOption(new Option('--step <step>', 'only devices at this step').choices([...rolloutSteps]))
        .action(lazily(terminal, async () => (await actions()).statusAction)),
    )
    .addCommand(
      new Command('list')
        .description('rollouts, newest first')
        .option('--limit <n>', 'at most so many', limit, 50)
        .action(lazily(terminal, async () => (await actions()).listAction)),
    )
    .addCommand(
      new Command('pause')
        .description('begin no further device; those that began go on')
        .argument('<rollout>', 'its id')
        .action(lazily(terminal, async () => (await actions()).pauseAction)),
    )
    .addCommand(
      new Command('resume')
        .description('go on; of a stopped one, the devices that failed are accepted')
        .argument('<rollout>', 'its id')
        .action(lazily(terminal, async () => (await actions()).resumeAction)),
    )
    .addCommand(
      new Command('abort')
        .description('end it, and put back what went live in it')
        .argument('<rollout>', 'its id')
        .option('--keep', 'what went live stays')
        .action(lazily(terminal, async () => (await actions()).abortAction)),
    )
    .addCommand(
      new Command('history')
        .description('every change of what a device runs, or of the devices of a rollout, with why')
        .argument('<device-or-rollout>', 'its id')
        .option('--limit <n>', 'at most so many', limit, 50)
        .action(lazily(terminal, async () => (await actions()).historyAction)),
    );

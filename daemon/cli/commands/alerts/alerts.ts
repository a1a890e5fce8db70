import { Command, Option } from 'commander';
import { costMetrics } from '../../../core/measurement.js';
import { alertStates } from '../../../store/state-names.js';
import { lazily, type Terminal } from '../../context.js';
import { wholeNumber } from '../../whole-number.js';

const actions = () => import('../../actions/alerts.js');

export const alertsCommand = (terminal: Terminal): Command =>
  new Command('alerts')
    .addCommand(
      new Command('list')
        .description('changes of the level of measured series; newest first')
        .addOption(new Option('--state <state>', 'only those in this state').choices([...alertStates]))
        .option('--device <device>', 'only those of this device')
        .option('--limit <n>', 'at most so many', (text: string) => wholeNumber(text, 'limit', 1, 1000), 50)
        .action(lazily(terminal, async () => (await actions()).listAlerts)),
    )
    .addCommand(
      new Command('show')
        .description('one alert: how much, since when, and what else changed then')
        .argument('<alert>', 'its id, such as alert-3')
        .action(lazily(terminal, async () => (await actions()).showAlert)),
    )
    .addCommand(
      new Command('ack')
        .description('say that you know of it')
        .argument('<alert>', 'its id')
        .option('--note <text>', 'what it is', '')
        .action(lazily(terminal, async () => (await actions()).acknowledgeAlert)),
    )
    .addCommand(
      new Command('mute')
        .description('alerts to come raise no attention; without options, none at all')
        .option('--device <device>', 'only those of this device')
        .option('--network <hash>', 'only those of the network with this structure hash')
        .addOption(new Option('--metric <name>', 'only those of this metric').choices([...costMetrics]))
        .option('--hours <n>', 'for so long; otherwise until `unmute`', (text: string) =>
          wholeNumber(text, 'hours', 1, 24 * 366),
        )
        .option('--note <text>', 'why', '')
        .action(lazily(terminal, async () => (await actions()).muteAlerts)),
    )
    .addCommand(
      new Command('digest')
        .description('what happened since the last digest that webhooks got')
        .action(lazily(terminal, async () => (await actions()).showDigest)),
    )
    .addCommand(
      new Command('mutes')
        .description('what raises no attention now')
        .action(lazily(terminal, async () => (await actions()).listMutes)),
    )
    .addCommand(
      new Command('unmute')
        .description('end a mute')
        .argument('<mute>', 'its id, such as mute-2')
        .action(lazily(terminal, async () => (await actions()).liftMute)),
    );

import { Command, Option } from 'commander';
import type { CampaignView } from '../../../api/predictor-schemas.js';
import { campaignStates } from '../../../store/state-names.js';
import { act, type Terminal } from '../../context.js';
import { toneOfState } from '../../terminal/layout.js';
import { wholeNumber } from '../../whole-number.js';

interface ListOptions {
  readonly state?: CampaignView['state'];
  readonly kind?: string;
  readonly limit: number;
}

const describe = ({ id, kind, state, done, of, predictorId, problem }: CampaignView): string =>
  [
    `The campaign ${id} (${kind}) is ${state}: ${done} of ${of} measurements.`,
    ...(predictorId ? [`It is for ${predictorId}.`] : []),
    ...(problem ? [`${problem.detail}`] : []),
  ].join('\n');

export const campaignsCommand = (terminal: Terminal): Command =>
  new Command('campaigns')
    .addCommand(
      new Command('list')
        .description('measuring for predictors, and comparisons; newest first')
        .addOption(new Option('--state <state>', 'only those in this state').choices([...campaignStates]))
        .option('--kind <kind>', 'only train, probe or compare')
        .option('--limit <n>', 'at most so many', (text: string) => wholeNumber(text, 'limit', 1, 1000), 50)
        .action(
          act(terminal, async (context, options: ListOptions) => {
            const { campaigns, total } = await context.client.campaigns(options, context);
            context.answerTable(
              'campaigns',
              { campaigns, total },
              [
                { title: 'CAMPAIGN', value: (one) => one.id },
                { title: 'KIND', value: (one) => one.kind },
                { title: 'STATE', value: (one) => one.state, tone: toneOfState },
                { title: 'DONE', align: 'right', value: (one) => `${one.done}/${one.of}` },
                { title: 'PREDICTOR', value: (one) => one.predictorId ?? '' },
                { title: 'WHY', value: (one) => one.problem?.detail ?? '' },
              ],
              campaigns,
              'There are no such campaigns.',
            );
          }),
        ),
    )
    .addCommand(
      new Command('show')
        .description('how far a campaign is, and what it made')
        .argument('<campaign>', 'its id')
        .action(
          act(terminal, async (context, id: string) => {
            const campaign = await context.client.campaign(id, context);
            context.answer('campaign', { campaign }, () => describe(campaign));
          }),
        ),
    )
    .addCommand(
      new Command('cancel')
        .description('end a campaign that runs, with its jobs')
        .argument('<campaign>', 'its id')
        .action(
          act(terminal, async (context, id: string) => {
            const campaign = await context.client.cancelCampaign(id, context);
            context.answer('campaign', { campaign }, () => describe(campaign));
          }),
        ),
    );

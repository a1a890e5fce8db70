import { Command } from 'commander';
import type { PredictorView } from '../../../api/predictor-schemas.js';
import { HildaError } from '../../../core/errors.js';
import { type CampaignOptions, campaignRequest } from '../../campaign-request.js';
import { act, type Terminal } from '../../context.js';
import { describePredictor } from '../../describe-predictor.js';
import { followCampaign } from '../../follow-campaign.js';
import { formatTime } from '../../format.js';
import { resolveId } from '../../resolve-id.js';
import type { Column } from '../../terminal/table.js';
import { wholeNumber } from '../../whole-number.js';
import { predictorFitCsvCommand } from './fit-csv.js';

interface TrainOptions extends CampaignOptions {
  readonly active?: boolean;
}

const train = (terminal: Terminal): Command =>
  new Command('train')
    .description("measure random networks of a space on a device, and learn the device's latency")
    .requiredOption('-d, --device <id>', 'where to measure')
    .requiredOption('-s, --space <name>', 'a space of profiles/spaces')
    .option('-n, --samples <count>', 'networks to measure', '50')
    .option('--seed <number>', 'which networks', '1')
    .option('-p, --protocol <name>', 'how to measure: quick, search or careful', 'search')
    .option(
      '--active',
      'after twenty networks choose by what is known: the likely front, what tells most, an audit',
    )
    .action(
      act(terminal, async (context, options: TrainOptions) => {
        const started = await context.client.startCampaign(
          {
            ...(await campaignRequest(options, context)),
            profile: false,
            choice: options.active ? 'active' : 'random',
          },
          context,
        );
        const { predictorId, reasons } = await followCampaign(started, context);
        if (options.active)
          terminal.note(
            `chosen: ${Object.entries(reasons)
              .map(([reason, n]) => `${n} ${reason}`)
              .join(', ')}`,
          );
        const predictor = await context.client.predictor(predictorId, context);
        context.answer('predictor', { predictor }, () => describePredictor(predictor));
      }),
    );

const list = (terminal: Terminal): Command =>
  new Command('list').description('every predictor').action(
    act(terminal, async (context) => {
      const predictors = await context.client.predictors(context);
      const columns: Column<PredictorView>[] = [
        { title: 'ID', value: (p) => p.id },
        { title: 'DEVICE', value: (p) => p.deviceId },
        { title: 'RUNTIME', value: (p) => `${p.target.runtime} ${p.target.runtimeVersion}` },
        { title: 'SPACE', value: (p) => p.spaceId },
        { title: 'METRIC', value: (p) => p.metric },
        { title: 'SAMPLES', align: 'right', value: (p) => String(p.samples) },
        { title: 'FROM', value: (p) => p.provenance },
        { title: 'UPDATED', value: (p) => formatTime(p.updatedMs) },
      ];
      context.answerTable(
        'predictors',
        { predictors },
        columns,
        predictors,
        'There are no predictors. Train one: hilda predictor train.',
      );
    }),
  );

const evaluate = (terminal: Terminal): Command =>
  new Command('eval')
    .description('how good a predictor is, on networks that it did not learn from')
    .argument('<id>', 'as listed')
    .action(
      act(terminal, async (context, word: string) => {
        const id = await resolveId('predictor', word, context);
        const predictor = await context.client.predictor(id, context);
        const figures = await context.client.predictorFigures(id, context);
        context.answer('predictor-eval', { predictor, figures }, () =>
          [
            describePredictor(predictor),
            ...figures.learningCurve.map(
              ({ n, mape }) => `from ${String(n).padStart(4)} networks: MAPE ${mape.toFixed(1)} %`,
            ),
            ...figures.reliability.map(
              ({ nominal, actual }) =>
                `interval of ${(100 * nominal).toFixed(0)} %: ${(100 * actual).toFixed(0)} % inside`,
            ),
          ].join('\n'),
        );
      }),
    );

interface DriftOptions {
  readonly probe?: string;
  readonly seed: string;
  readonly refit?: boolean;
}

const drift = (terminal: Terminal): Command =>
  new Command('drift')
    .description('whether new measurements still lie where the predictor says; exit code 1 when not')
    .argument('<id>', 'as listed')
    .option('--probe <count>', 'measure so many new networks first')
    .option('--seed <number>', 'which networks', '1')
    .option('--refit', 'learn from the live measurements afterwards')
    .action(
      act(terminal, async (context, word: string, options: DriftOptions) => {
        const id = await resolveId('predictor', word, context);
        if (options.probe !== undefined) {
          const request = {
            count: wholeNumber(options.probe, 'probe', 1),
            seed: wholeNumber(options.seed, 'seed', 0),
          };
          await followCampaign(await context.client.probe(id, request, context), context);
        }
        const report = await context.client.drift(id, context);
        if (options.refit) await context.client.refit(id, context);
        context.answer('drift', { drift: report }, () => `${report.state}: ${report.reason}`);
        if (report.state === 'drifted' && !options.refit)
          throw new HildaError('STATE_CONFLICT', `${id} drifted: ${report.reason}`, {
            hint: `Refit it: hilda predictor drift ${id} --refit.`,
          });
      }),
    );

interface ScheduleOptions {
  readonly cron?: string;
  readonly count: string;
  readonly refit?: boolean;
  readonly end?: boolean;
}

const schedule = (terminal: Terminal): Command =>
  new Command('schedule')
    .description('probe a predictor at fixed times for drift; without options, show when')
    .argument('<id>', 'as listed')
    .option('--cron <expression>', 'five fields in local time, e.g. "0 3 * * *"')
    .option('--count <networks>', 'how many to measure each time', '10')
    .option('--refit', 'learn from the live measurements as soon as it drifted')
    .option('--end', 'probe no more')
    .action(
      act(terminal, async (context, word: string, { cron, count, refit = false, end }: ScheduleOptions) => {
        const id = await resolveId('predictor', word, context);
        if (cron !== undefined && end)
          throw new HildaError('USAGE_INVALID', '--cron and --end exclude each other');
        const answer = end
          ? await context.client.endSchedule(id, context)
          : cron === undefined
            ? await context.client.scheduleOf(id, context)
            : await context.client.schedule(
                id,
                { cron, count: wholeNumber(count, 'count', 1), refit },
                context,
              );
        context.answer('schedule', answer, () => {
          const plan = answer.schedule;
          if (!plan) return `${id} is probed only when asked`;
          const last = plan.last
            ? `${formatTime(plan.last.atMs)}: ${plan.last.outcome}, ${plan.last.reason}`
            : 'none yet';
          return `${id}: ${plan.count} networks at "${plan.cron}"${plan.refit ? ', refitted after drift' : ''}\nlatest probe ${last}`;
        });
      }),
    );

export const predictorCommand = (terminal: Terminal): Command =>
  new Command('predictor')
    .addCommand(train(terminal))
    .addCommand(list(terminal))
    .addCommand(evaluate(terminal))
    .addCommand(drift(terminal))
    .addCommand(schedule(terminal))
    .addCommand(predictorFitCsvCommand(terminal));

import { Command, Option } from 'commander';
import type { JobView } from '../../../api/job-schemas.js';
import { jobStates } from '../../../store/state-names.js';
import { act, type Terminal } from '../../context.js';
import { formatTime } from '../../format.js';
import { toneOfState } from '../../terminal/layout.js';
import { wholeNumber } from '../../whole-number.js';

interface Options {
  readonly state?: JobView['state'];
  readonly share?: string;
  readonly limit: number;
}

export const jobsListCommand = (terminal: Terminal): Command =>
  new Command('list')
    .description('device work that waits, runs or ended; newest first')
    .addOption(new Option('--state <state>', 'only jobs in this state').choices([...jobStates]))
    .option('--share <share>', 'only jobs of it, e.g. study:study-3 or people')
    .option('--limit <n>', 'at most so many', (text: string) => wholeNumber(text, 'limit', 1, 10_000), 50)
    .action(
      act(terminal, async (context, options: Options) => {
        const { jobs, total } = await context.client.jobs(options, context);
        context.answerTable(
          'jobs',
          { jobs, total },
          [
            { title: 'JOB', value: (job) => job.id },
            { title: 'STATE', value: (job) => job.state, tone: toneOfState },
            { title: 'WORK', value: (job) => job.work },
            { title: 'DEVICE', value: (job) => job.deviceId ?? job.devices },
            { title: 'SHARE', value: (job) => job.share },
            { title: 'PRIORITY', align: 'right', value: (job) => String(job.priority) },
            { title: 'SINCE', value: (job) => formatTime(job.endedMs ?? job.startedMs ?? job.createdMs) },
            { title: 'WHY', value: (job) => job.waitsFor ?? job.problem?.detail ?? '' },
          ],
          jobs,
          'There are no such jobs.',
        );
      }),
    );

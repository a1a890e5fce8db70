import { Command } from 'commander';
import { act, type Terminal } from '../../context.js';
import { describeJob } from '../../describe-job.js';

export const jobsShowCommand = (terminal: Terminal): Command =>
  new Command('show')
    .description('one job: its state, why it waits, what it yielded')
    .argument('<job>', 'its id')
    .action(
      act(terminal, async (context, id: string) => {
        const job = await context.client.job(id, context);
        context.answer('job', { job }, () => describeJob(job, terminal));
      }),
    );

import { Command } from 'commander';
import { act, type Terminal } from '../../context.js';

const described = {
  cancel: 'end a job that waits or runs',
  retry: 'queue a failed or cancelled job anew',
} as const;

export const jobsActCommand = (terminal: Terminal, action: keyof typeof described): Command =>
  new Command(action)
    .description(described[action])
    .argument('<job>', 'its id')
    .action(
      act(terminal, async (context, id: string) => {
        const job = await context.client.actOnJob(id, action, context);
        context.answer('job', { job }, () => `The job ${job.id} is ${job.state}.`);
      }),
    );

import { Command } from 'commander';
import { HildaError } from '../../core/errors.js';
import { act, type Terminal } from '../context.js';
import { readSpecWithData } from '../data-paths.js';
import { describeStudy } from '../describe.js';
import { followStudy } from '../follow-study.js';

export const searchStartCommand = (terminal: Terminal): Command =>
  new Command('start')
    .description('start a study from its specification')
    .argument('<spec>', 'a YAML or JSON file')
    .option('-w, --wait', 'show progress until the study ends; exit code 1 unless it completes')
    .action(
      act(terminal, async (context, file: string, { wait }: { readonly wait?: boolean }) => {
        const spec = await readSpecWithData(file);
        const study = await context.client.createStudy(spec, context);
        if (!wait) return context.answer('study', { study }, () => `${study.id} is ${study.state}`);
        terminal.note(`study ${study.id}: ${context.client.base}/#/studies/${study.id}`);
        const { record, ...progress } = await followStudy(study.id, context);
        context.answer('study', { study: record, progress }, () => describeStudy({ record, ...progress }));
        if (record.state !== 'completed') {
          throw new HildaError(
            'STATE_CONFLICT',
            `the study ended ${record.state}${record.reason ? `: ${record.reason}` : ''}`,
            {
              hint: `Look at it with \`hilda search show ${record.id}\`.`,
            },
          );
        }
      }),
    );

import { HildaError } from '../../../core/errors.js';
import type { CliContext } from '../../context.js';
import { readSpecWithData } from '../../data-paths.js';
import { describeStudy } from '../../describe.js';
import { followStudy } from '../../follow-study.js';

export async function searchStartAction(
  context: CliContext,
  file: string,
  { wait }: { readonly wait?: boolean },
): Promise<void> {
  const { terminal } = context;
  const spec = await readSpecWithData(file);
  const study = await context.client.createStudy(spec, context);
  if (!wait) return context.answer('study', { study }, () => `${study.id} is ${study.state}`);
  terminal.note(`study ${study.id}: ${context.client.base}/#/studies/${study.id}`);
  const { record, ...progress } = await followStudy(study.id, context);
  context.answer('study', { study: record, progress }, () =>
    describeStudy({ record, ...progress }, terminal),
  );
  if (record.state !== 'completed') {
    throw new HildaError(
      'STATE_CONFLICT',
      `the study ended ${record.state}${record.reason ? `: ${record.reason}` : ''}`,
      {
        hint: `Look at it with \`hilda search show ${record.id}\`.`,
      },
    );
  }
}

import type { FrontRowView } from '../api/schemas.js';
import { HildaError } from '../core/errors.js';
import type { CliContext } from './context.js';
import { followStudy } from './follow-study.js';

export interface SearchedStudy {
  readonly label: string;
  readonly study: string;
  readonly front: readonly FrontRowView[];
}

/** Starts one study for each specification, follows them to their ends. Throws STATE_CONFLICT unless all complete. */
export async function runStudies(
  context: CliContext,
  specs: readonly { readonly label: string; readonly spec: Readonly<Record<string, unknown>> }[],
): Promise<SearchedStudy[]> {
  const { client, terminal } = context;
  const started: { label: string; study: string }[] = [];
  for (const { label, spec } of specs) {
    const study = await client.createStudy(spec, context);
    terminal.note(`study ${study.id} searches for ${label}`);
    started.push({ label, study: study.id });
  }
  const searched: SearchedStudy[] = [];
  for (const { label, study } of started) {
    const { record } = await followStudy(study, context);
    if (record.state !== 'completed')
      throw new HildaError(
        'STATE_CONFLICT',
        `the study ${study} ended ${record.state}: ${record.reason ?? ''}`,
      );
    searched.push({ label, study, front: await client.front(study, context) });
  }
  return searched;
}

import type { FrontRowView } from '../../../api/schemas.js';
import { evaluatedText } from '../../../core/comparison-words.js';
import { HildaError } from '../../../core/errors.js';
import { winner } from '../../../study/winner.js';
import type { CliContext } from '../../context.js';
import { readSpecWithData } from '../../data-paths.js';
import { runStudies } from '../../run-studies.js';
import { bestWithin, describeWinner, type WinnerOptions, winnerGoal } from '../../winners.js';

/** AutoDistil (Xu et al. 2022, section 3): a space split into sub-spaces, a search in each, one winner by the limit. */
export async function searchSplitAction(
  context: CliContext,
  file: string,
  options: WinnerOptions,
): Promise<void> {
  const { terminal } = context;
  const goal = winnerGoal(options);
  const { spaces, ...spec } = (await readSpecWithData(file)) as Record<string, unknown>;
  if (!Array.isArray(spaces) || spaces.length < 2)
    throw new HildaError('SPEC_INVALID', 'spaces: two or more names or contents of space files', {
      details: { fields: ['spaces'] },
    });
  const searched = await runStudies(
    context,
    spaces.map((space: unknown) => {
      const label = typeof space === 'string' ? space : String((space as { id?: unknown } | null)?.id);
      return { label, spec: { ...spec, name: `${spec.name ?? 'split'}: ${label}`, space } };
    }),
  );
  for (const { label, study, front } of searched)
    terminal.note(
      `${label} (${study}): ${front.length} on the front, best ${options.best} ${formatBest(front, options.best, goal)}`,
    );
  const rows = searched.flatMap(({ label, study, front }) =>
    front.map((row) => ({ space: label, study, ...row })),
  );
  const won = await bestWithin(rows, options, context);
  const studies = searched.map(({ label, study, front }) => ({
    space: label,
    study,
    front: front.length,
  }));
  context.answer('split', { studies, ...won }, () => `${won.winner.space}: ${describeWinner(won, options)}`);
}

function formatBest(front: readonly FrontRowView[], metric: string, goal: 'min' | 'max'): string {
  const best = winner(front, [], { metric, goal });
  return best ? evaluatedText(metric, best.values, best.evidence) : 'unknown';
}

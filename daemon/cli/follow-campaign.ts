import type { CampaignView } from '../api/predictor-schemas.js';
import { fromProblem } from '../api/problem.js';
import type { CliContext } from './context.js';
import { Progress } from './terminal/progress.js';

const pollMs = 500;

/** Waits for a campaign, and shows how far it is. Throws what made it fail. */
export async function followCampaign(
  campaign: CampaignView,
  { client, terminal, signal }: CliContext,
): Promise<CampaignView & { readonly predictorId: string }> {
  let view = campaign;
  const progress = new Progress(terminal);
  try {
    for (;;) {
      progress.show(`measured ${view.done} of ${view.of} networks`);
      if (view.state !== 'running') break;
      await terminal.clock.sleep(pollMs, { signal });
      view = await client.campaign(view.id, { signal });
    }
  } finally {
    progress.end();
  }
  if (view.state === 'failed' || view.predictorId === null)
    throw fromProblem(view.problem, view.problem?.status ?? 500);
  for (const failure of view.failures) terminal.note(`left out: ${failure}`);
  return { ...view, predictorId: view.predictorId };
}

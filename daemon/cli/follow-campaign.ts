import type { CampaignView } from '../api/predictor-schemas.js';
import { fromProblem } from '../api/problem.js';
import type { CliContext } from './context.js';

const pollMs = 500;

/** Waits for a campaign, with a line of progress now and then. Throws what made it fail. */
export async function followCampaign(
  campaign: CampaignView,
  { client, terminal, signal }: CliContext,
): Promise<CampaignView & { readonly predictorId: string }> {
  let view = campaign;
  let shown = -1;
  while (view.state === 'running') {
    if (view.done !== shown) terminal.note(`measured ${view.done} of ${view.of} networks`);
    shown = view.done;
    await terminal.clock.sleep(pollMs, { signal });
    view = await client.campaign(view.id, { signal });
  }
  if (view.state === 'failed' || view.predictorId === null)
    throw fromProblem(view.problem, view.problem?.status ?? 500);
  for (const failure of view.failures) terminal.note(`left out: ${failure}`);
  return { ...view, predictorId: view.predictorId };
}

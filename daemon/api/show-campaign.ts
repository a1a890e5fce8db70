import type { Campaign } from '../predictors/campaigns.js';
import type { CampaignView } from './predictor-schemas.js';
import { toProblem } from './problem.js';

/** A campaign as the API shows it. */
export const showCampaign = ({ error, failures, reasons, ...rest }: Campaign): CampaignView => ({
  ...rest,
  failures: [...failures],
  reasons: { ...reasons },
  problem: error ? toProblem(error) : null,
});

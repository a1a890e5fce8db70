import { type Campaign, viewCampaign } from '../predictors/campaigns.js';
import type { CampaignRecord } from '../store/campaign-contract.js';
import type { CampaignView } from './predictor-schemas.js';
import { toProblem } from './problem.js';

/** A campaign as the API shows it. */
export const showCampaign = ({ error, failures, reasons, ...rest }: Campaign): CampaignView => ({
  ...rest,
  failures: [...failures],
  reasons: { ...reasons },
  problem: error ? toProblem(error) : null,
});

/** A stored campaign as the API shows it. */
export const showCampaignRecord = (record: CampaignRecord): CampaignView =>
  showCampaign(viewCampaign(record));

import { z } from 'zod';
import { fromErrorDocument, type HildaError } from '../core/errors.js';
import type { PredictorId } from '../core/ids.js';
import type { Campaigns } from '../jobs/campaigns.js';
import type { CampaignRecord, CampaignState } from '../store/campaign-contract.js';

/** A campaign as it is shown: measuring for a predictor, or comparing two devices. */
export interface Campaign {
  readonly id: string;
  readonly kind: string;
  readonly state: CampaignState;
  readonly done: number;
  readonly of: number;
  readonly predictorId: PredictorId | null;
  /** Networks that gave no valid measurement, and why. */
  readonly failures: readonly string[];
  /** How many networks were chosen for which reason; empty until the campaign is done. */
  readonly reasons: Readonly<Record<string, number>>;
  readonly error: HildaError | null;
}

const resultSchema = z.looseObject({
  predictorId: z.string().nullable().default(null),
  failures: z.array(z.string()).default([]),
  reasons: z.record(z.string(), z.number()).default({}),
});

export function viewCampaign({ id, kind, state, done, of, result, error }: CampaignRecord): Campaign {
  const { predictorId, failures, reasons } = resultSchema.parse(result ?? {});
  return {
    id,
    kind,
    state,
    done,
    of,
    predictorId: predictorId as PredictorId | null,
    failures,
    reasons,
    error: error && fromErrorDocument(error),
  };
}

export type CampaignPort = Pick<Campaigns, 'define' | 'launch' | 'show' | 'finished'>;

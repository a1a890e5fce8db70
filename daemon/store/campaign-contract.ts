import type { ErrorDocument } from '../core/errors.js';
import type { PredictorId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { PredictorRecord } from './records.js';

export type CampaignState = 'running' | 'done' | 'failed' | 'cancelled';

/** Several jobs with one purpose. What the JSON fields hold, its kind knows. */
export interface CampaignRecord {
  /** A whole number from 1, as text. */
  readonly id: string;
  readonly kind: string;
  readonly request: Json;
  readonly state: CampaignState;
  readonly done: number;
  readonly of: number;
  /** What a daemon needs to go on; null where it needs nothing. */
  readonly progress: Json | null;
  readonly result: Json | null;
  readonly error: ErrorDocument | null;
  readonly createdMs: number;
  readonly endedMs: number | null;
}

/** How a campaign ended; what it made is stored with it, in one transaction. */
export interface CampaignEnd {
  readonly state: Exclude<CampaignState, 'running'>;
  readonly result: Json | null;
  readonly error: ErrorDocument | null;
  /** Added; its id becomes `predictorId` of the result. */
  readonly predictor?: Omit<PredictorRecord, 'id' | 'createdMs' | 'updatedMs'>;
  readonly changed?: { readonly id: PredictorId; readonly body: Json };
  readonly values?: Readonly<Record<string, Json>>;
}

export interface CampaignFilter {
  readonly state?: CampaignState;
  readonly kind?: string;
}

export interface CampaignStore {
  addCampaign(campaign: Pick<CampaignRecord, 'kind' | 'request' | 'of'>): Promise<CampaignRecord>;
  /** Of a running one; of any other, nothing happens. */
  noteCampaign(id: string, progress: { readonly done: number; readonly progress?: Json }): Promise<void>;
  /** A running one ends. STATE_CONFLICT for any other: nothing of it is stored. */
  endCampaign(id: string, end: CampaignEnd): Promise<CampaignRecord>;
  /** Throws NOT_FOUND. */
  campaign(id: string): Promise<CampaignRecord>;
  /** Newest first; a hundred where no limit is given. Throws NOT_FOUND where there is no campaign `before`. */
  campaigns(
    filter?: CampaignFilter & { readonly before?: string; readonly limit?: number },
  ): Promise<CampaignRecord[]>;
  campaignCount(filter: CampaignFilter): Promise<number>;
}

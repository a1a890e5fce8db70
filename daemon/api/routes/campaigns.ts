import { z } from 'zod';
import { campaignStates } from '../job-state-names.js';
import { campaignSchema } from '../predictor-schemas.js';
import { defineRoute } from '../route.js';
import { showCampaignRecord } from '../show-campaign.js';

export const campaignRoutes = [
  defineRoute({
    method: 'get',
    path: '/campaigns',
    summary: 'Campaigns, newest first; those that run go on when the daemon was restarted',
    query: z.object({
      state: z.enum(campaignStates).optional(),
      limit: z.coerce.number().int().min(1).max(1000).default(100),
    }),
    answer: { status: 200, schema: z.object({ campaigns: z.array(campaignSchema) }) },
    handle: async ({ services, query: { state, limit } }) => ({
      campaigns: (await services.campaigns.list({ limit, ...(state !== undefined && { state }) })).map(
        showCampaignRecord,
      ),
    }),
  }),
  defineRoute({
    method: 'get',
    path: '/campaigns/{id}',
    summary: 'How far a campaign is, and what it made',
    answer: { status: 200, schema: campaignSchema },
    handle: async ({ services, params }) => showCampaignRecord(await services.campaigns.show(params.id)),
  }),
  defineRoute({
    method: 'post',
    path: '/campaigns/{id}/cancel',
    summary: 'End a campaign that runs, with its jobs; what was measured stays',
    answer: { status: 200, schema: campaignSchema },
    handle: async ({ services, params }) => showCampaignRecord(await services.campaigns.cancel(params.id)),
  }),
];

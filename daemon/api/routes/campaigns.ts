import { z } from 'zod';
import { campaignStates } from '../../store/state-names.js';
import { nextPage, pageLimit, pageSchema } from '../paging.js';
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
      kind: campaignSchema.shape.kind.optional(),
      before: z.string().optional().describe('Only what was started before this campaign.'),
      limit: pageLimit(100),
    }),
    answer: { status: 200, schema: pageSchema({ campaigns: z.array(campaignSchema) }) },
    handle: async ({ services, query }) => {
      const { state, kind, before, limit } = query;
      const { campaigns, total } = await services.campaigns.list({
        ...(state !== undefined && { state }),
        ...(kind !== undefined && { kind }),
        ...(before !== undefined && { before }),
        limit: limit + 1,
      });
      const shown = campaigns.slice(0, limit).map(showCampaignRecord);
      const next = campaigns.length > limit ? { ...query, before: shown.at(-1)?.id } : null;
      return { campaigns: shown, total, next: nextPage('/campaigns', next) };
    },
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

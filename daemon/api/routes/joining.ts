import { z } from 'zod';
import { invitationSchema, joinerSchema } from '../device-schemas.js';
import { listQuery, pageOf, pageSchema } from '../paging.js';
import { defineRoute } from '../route.js';

const kinds = { page: '/join/#t=', agent: '' } as const;

export const joiningRoutes = [
  defineRoute({
    method: 'post',
    scope: 'page',
    path: '/joiners/invite',
    summary:
      'A token for one page or agent to join with, good for ten minutes, and the addresses to use it at',
    body: z.object({
      kind: z.enum(['page', 'agent']),
      /** Who joined before and lost its key, e.g. `browser-3f2a91`: it comes back as that. */
      as: z.string().max(100).optional(),
    }),
    answer: { status: 200, schema: invitationSchema, secret: true },
    handle: async ({ services: { joining }, body: { kind, as } }) => {
      const { token, pairing, expiresMs } = await (as === undefined
        ? joining.keys.issue(kind)
        : joining.keys.issueAgain(as));
      const addresses = joining.addresses().map(({ base, note, pin, fingerprint }) => ({
        url: kind === 'page' ? `${base}${kinds.page}${token}` : base.replace(/^http/, 'ws'),
        note,
        pin,
        fingerprint,
      }));
      return { kind, token, pairing, expiresMs, addresses };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/joiners',
    summary: 'Pages and agents that ever joined',
    query: z.object({ kind: joinerSchema.shape.kind.optional(), ...listQuery }),
    answer: { status: 200, schema: pageSchema({ joiners: z.array(joinerSchema) }) },
    handle: async ({ services: { joining }, query }) => {
      const { rows, ...page } = pageOf(await joining.keys.joiners(), query, {
        path: '/joiners',
        idOf: ({ id }) => id,
        fits: ({ kind }) => query.kind === undefined || kind === query.kind,
      });
      return { joiners: rows.map(({ hash: _, ...rest }) => rest), ...page };
    },
  }),
  defineRoute({
    method: 'post',
    scope: 'admin',
    path: '/joiners/{id}/revoke',
    summary: 'Cut a page or agent off for good',
    answer: { status: 200, schema: joinerSchema },
    handle: async ({ services: { joining }, params }) => {
      const { hash: _, ...rest } = await joining.keys.revoke(params.id);
      return rest;
    },
  }),
];

import { z } from 'zod';
import type { Access, TokenRecord } from '../../access/access.js';
import { HildaError } from '../../core/errors.js';
import { linkSchema, newTokenSchema, tokenRequestSchema, tokenSchema } from '../access-schemas.js';
import { listQuery, pageOf, pageSchema } from '../paging.js';
import { Answer, defineRoute } from '../route.js';
import type { DaemonServices } from '../services.js';

function accessOf({ access }: DaemonServices): Access {
  if (access) return access;
  throw new HildaError('NOT_FOUND', 'this server checks no tokens');
}

const view = ({ hash: _, ...record }: TokenRecord) => record;

export const accessRoutes = [
  defineRoute({
    method: 'post',
    path: '/access/tokens',
    summary: 'Make a token for a program or a person; it is shown this once',
    scope: 'admin',
    body: tokenRequestSchema,
    answer: { status: 201, schema: newTokenSchema, secret: true, location: true },
    handle: async ({ services, body }) => {
      const { record, token } = await accessOf(services).create(body);
      return new Answer({ ...view(record), token }, { location: `/v1/access/tokens/${record.id}` });
    },
  }),
  defineRoute({
    method: 'get',
    path: '/access/tokens',
    summary: 'Tokens and sessions of pages that have not run out, without the tokens themselves',
    scope: 'admin',
    query: z.object(listQuery),
    answer: { status: 200, schema: pageSchema({ tokens: z.array(tokenSchema) }) },
    handle: async ({ services, query }) => {
      const { rows, ...page } = pageOf(await accessOf(services).list(), query, {
        path: '/access/tokens',
        idOf: ({ id }) => id,
      });
      return { tokens: rows.map(view), ...page };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/access/tokens/{id}',
    summary: 'One token or session, without the token itself',
    scope: 'admin',
    answer: { status: 200, schema: tokenSchema },
    handle: async ({ services, params }) => view(await accessOf(services).show(params.id)),
  }),
  defineRoute({
    method: 'post',
    path: '/access/tokens/{id}/revoke',
    summary: 'End a token or a session for good',
    scope: 'admin',
    answer: { status: 200, schema: tokenSchema },
    handle: async ({ services, params }) => view(await accessOf(services).revoke(params.id)),
  }),
  defineRoute({
    method: 'post',
    path: '/access/links',
    summary: 'A path that opens the page once, within ten minutes, and gives it its session',
    scope: 'admin',
    answer: { status: 200, schema: linkSchema, secret: true },
    handle: async ({ services }) => {
      const path = `/open?code=${accessOf(services).link()}`;
      return { path, elsewhere: (services.pageBases?.() ?? []).map((base) => `${base}${path}`) };
    },
  }),
];

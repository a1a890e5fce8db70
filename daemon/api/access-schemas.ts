import { z } from 'zod';
import { scopes } from '../access/access.js';

export const tokenSchema = z.object({
  id: z.string(),
  name: z.string(),
  scope: z.enum(scopes),
  kind: z.enum(['token', 'page']),
  state: z.enum(['active', 'revoked']),
  createdMs: z.number(),
  expiresMs: z.number().nullable(),
});

export const tokenRequestSchema = z.object({
  name: z.string().min(1).max(100),
  scope: z.enum(scopes).default('measure'),
  days: z.number().int().min(1).max(3650).nullable().default(90),
});

export const newTokenSchema = tokenSchema.extend({ token: z.string() });

export const linkSchema = z.object({
  path: z.string(),
  /** The same, at the addresses of the networks that the page is served to. */
  elsewhere: z.array(z.string()),
});

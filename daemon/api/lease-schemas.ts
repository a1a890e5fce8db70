import { z } from 'zod';

/** Leases of people and scripts as they cross the wire. */

const ttlMs = z
  .int()
  .min(1000)
  .max(24 * 3_600_000)
  .describe('How long it lasts unless it is renewed; at most a day.');

export const leaseSchema = z
  .object({
    deviceId: z.string(),
    holder: z.string(),
    token: z.int().describe('Proves the lease: it is needed to renew and to release it.'),
    expiresMs: z.int(),
  })
  .meta({
    id: 'Lease',
    description: 'A device that a person or a script holds. No job runs there meanwhile.',
  });

export const leaseRequestSchema = z
  .strictObject({
    device: z.string().min(1).max(2000).describe('A device, pool=DEVICE, target=MODEL, or tag=TAG,TAG.'),
    name: z
      .string()
      .regex(/^[\w.@:-]{1,64}$/, 'letters, digits and . @ : - _')
      .describe('Whose it is; shown with the device.'),
    ttlMs: ttlMs.default(600_000),
    wait: z.boolean().default(false).describe('Wait in line with the jobs for it.'),
  })
  .meta({ id: 'LeaseRequest' });

export const renewalSchema = z.strictObject({ token: z.int(), ttlMs: ttlMs.default(600_000) });
export const releaseSchema = z.strictObject({ token: z.int() });

import { z } from 'zod';
import { runningSchema } from './rollout-schemas.js';

/** Devices and those who bring them, as they cross the wire. */

export const targetSchema = z
  .object({
    model: z.string(),
    clockHz: z.number().nullable(),
    runtime: z.string(),
    runtimeVersion: z.string(),
    provider: z.string(),
    threads: z.int(),
    dtype: z.string(),
    batch: z.int().optional(),
    network: z.string().optional(),
    tier: z.string(),
  })
  .meta({ id: 'Target', description: 'What a cost belongs to; costs compare only within one target.' });

export const deviceSchema = z
  .object({
    id: z.string(),
    kind: z.string(),
    label: z.string(),
    target: targetSchema,
    host: z
      .string()
      .nullable()
      .describe('The machine whose processors it shares: `local`, an agent; null where it has its own.'),
    state: z.enum(['sighted', 'adopted', 'ignored', 'quarantined']),
    firstSeenMs: z.int(),
    lastSeenMs: z.int(),
    reason: z.string().nullable().describe('Why it is in its state.'),
    quarantine: z
      .object({
        by: z
          .enum(['hand', 'failures', 'reference', 'results'])
          .describe('hand: a person. The others are rules, which health checks that pass end.'),
        sinceMs: z.int().nullable(),
        passed: z.int().describe('Health checks that it passed in a row since.'),
      })
      .nullable()
      .describe('Null in every other state.'),
    tags: z.array(z.string()),
    present: z.boolean().describe('There when last looked for.'),
    obstacle: z.string().nullable().describe('What stands in the way of using it, and what to do.'),
    lease: z
      .object({ holder: z.string(), expiresMs: z.int() })
      .nullable()
      .describe('Who uses the device now.'),
    running: runningSchema,
    line: z
      .object({
        bytesPerS: z.int().nullable().describe('What models lately reached; null before any was sent.'),
        roundTripMs: z.number().nullable(),
        downMs: z
          .number()
          .nullable()
          .describe('For how long it has been down, while its peer is waited for; null while it is up.'),
      })
      .optional()
      .describe('The line to the page or agent that it is behind, while it is there.'),
    repeatability: z
      .object({
        between: z.number().describe('Standard deviation of the logarithm of a latency, session to session.'),
        repeats: z.int().describe('Repeats that it is learnt from; 0 where it is assumed.'),
        sinceMs: z.int().nullable(),
        updatedMs: z.int().nullable(),
      })
      .optional()
      .describe('How well latencies repeat under its present target. One device alone shows it.'),
    health: z.string().optional().describe('How well it does, in one line. One device alone shows it.'),
  })
  .meta({ id: 'Device' });

export const invitationSchema = z
  .object({
    kind: z.enum(['page', 'agent']),
    token: z.string(),
    pairing: z.string().describe('Found again in the joiner that comes by this invitation.'),
    expiresMs: z.int(),
    addresses: z.array(
      z.object({
        url: z.string(),
        note: z.string().describe('Who can reach it, and in which tier.'),
        pin: z
          .string()
          .nullable()
          .describe("SHA-256 of the daemon's public key, which outlasts its certificates: what agents pin."),
        fingerprint: z
          .string()
          .nullable()
          .describe('SHA-256 of the certificate shown there, as a browser tells it.'),
      }),
    ),
  })
  .meta({ id: 'Invitation' });

export const joinerSchema = z
  .object({
    id: z.string(),
    kind: z.enum(['page', 'agent']),
    label: z.string(),
    state: z.enum(['active', 'revoked']),
    createdMs: z.int(),
    pairing: z.string(),
  })
  .meta({ id: 'Joiner', description: 'A page or agent that exchanged a token for a key of its own.' });

const comparisonSchema = z.object({
  equivalent: z.boolean(),
  ratio: z.number(),
  interval: z.tuple([z.number(), z.number()]).readonly().describe('90 % interval of the ratio.'),
});

export const equivalenceSchema = z
  .object({
    devices: z.tuple([z.string(), z.string()]).readonly(),
    target: z.string(),
    margin: z.number(),
    visits: z.int(),
    equivalent: z.boolean(),
    convolution: comparisonSchema,
    transformer: comparisonSchema,
    takenAtMs: z.int(),
  })
  .meta({ id: 'Equivalence', description: 'Second device over the first, by reference network.' });

export type DeviceView = z.infer<typeof deviceSchema>;

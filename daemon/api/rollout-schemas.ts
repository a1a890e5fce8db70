import { z } from 'zod';
import { bodyOf } from '../rollouts/device-body.js';
import { requestOf } from '../rollouts/request.js';
import type { DeviceChange, RolloutDevice, RolloutRecord, RunningRecord } from '../store/rollout-contract.js';
import { rolloutStates, rolloutSteps } from '../store/state-names.js';

/** Rollouts as they cross the wire. */

const why = z
  .object({
    code: z.string(),
    message: z.string(),
    hint: z.string(),
    retryable: z.boolean(),
    details: z.record(z.string(), z.unknown()),
  })
  .nullable();

const promisedSchema = z.object({
  kind: z.enum(['estimate', 'interval', 'exact', 'limit']),
  metric: z.string(),
  source: z.string().describe('A measurement and its device, or the specification.'),
  value: z.number().optional(),
  ci: z.tuple([z.number(), z.number()]).readonly().optional(),
  low: z.number().optional(),
  high: z.number().optional(),
  max: z.number().optional(),
});

export const rolloutSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    version: z.int(),
    state: z.enum(rolloutStates),
    source: z.string().describe('Where the network comes from.'),
    model: z.string().describe('SHA-256 of its bytes: GET /v1/models.'),
    structureHash: z.string(),
    weightsHash: z.string(),
    waves: z.array(z.int()).describe('Devices of each wave.'),
    wave: z.int().describe('The one at work, from 0.'),
    waitUntilMs: z.int().nullable().describe('When it begins, where it waits.'),
    counts: z.partialRecord(z.enum(rolloutSteps), z.int()).describe('Devices by step.'),
    promises: z.record(z.string(), promisedSchema).describe('By the canonical text of a target.'),
    reason: why.describe('Why it stopped, or was refused.'),
    keep: z.boolean().describe('Of an aborted one: what went live stays.'),
    createdMs: z.int(),
    endedMs: z.int().nullable(),
  })
  .meta({ id: 'Rollout', description: 'A network on its way to many devices, in waves.' });
export type RolloutView = z.infer<typeof rolloutSchema>;

export const rolloutDeviceSchema = z
  .object({
    deviceId: z.string(),
    wave: z.int(),
    step: z.enum(rolloutSteps),
    sinceMs: z.int(),
    reason: why.describe('Why it was put back, or could not be.'),
    measurementId: z.string().nullable().describe('What it was let live on.'),
    before: z
      .object({ name: z.string(), version: z.int().nullable() })
      .nullable()
      .describe('What it ran before, as far as this daemon knows.'),
  })
  .meta({ id: 'RolloutDevice' });

export const deviceChangeSchema = z
  .object({
    number: z.int(),
    deviceId: z.string(),
    rollout: z.string().nullable(),
    atMs: z.int(),
    step: z.enum([...rolloutSteps, 'deployed']).describe('`deployed`: by hand.'),
    name: z.string(),
    version: z.int().nullable(),
    reason: why,
  })
  .meta({ id: 'DeviceChange' });

export const runningSchema = z
  .object({
    name: z.string(),
    version: z.int().nullable().describe('Null where it was deployed by hand.'),
    rollout: z.string().nullable(),
    sinceMs: z.int(),
  })
  .nullable()
  .describe('The network that the device holds, or that the daemon keeps for it.');

export function viewRollout({ request, forgiven: _, counts, ...rest }: RolloutRecord): RolloutView {
  const { source, network, structureHash, weightsHash, waves, promises } = requestOf(request);
  const shown = { source, model: network.model, structureHash, weightsHash, waves: [...waves] };
  return { ...rest, ...shown, counts: { ...counts }, promises: { ...promises } } as RolloutView;
}

export function viewRolloutDevice({
  body,
  attempt: _,
  ...rest
}: RolloutDevice): z.infer<typeof rolloutDeviceSchema> {
  const { measurementId = null, previous } = bodyOf(body);
  const before = previous ? { name: previous.name, version: previous.version } : null;
  return { ...rest, measurementId, before } as z.infer<typeof rolloutDeviceSchema>;
}

export const viewChange = (change: DeviceChange): z.infer<typeof deviceChangeSchema> =>
  ({ ...change }) as z.infer<typeof deviceChangeSchema>;

export const viewRunning = (running: RunningRecord | undefined): z.infer<typeof runningSchema> =>
  running
    ? {
        name: running.name,
        version: running.version,
        rollout: running.rollout,
        sinceMs: running.sinceMs,
      }
    : null;

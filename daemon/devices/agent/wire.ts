import { z } from 'zod';
import { errorTable } from '../../core/errors.js';
import type { Measurement } from '../../core/measurement.js';
import type { Target } from '../../core/target.js';
import { calibrationSchema } from '../../measure/calibration.js';
import { deploymentSchema, operatorCostSchema } from '../schemas.js';
import { abilities, sentWorkSchema } from '../work.js';
import { bindingSchema } from './sent-network.js';

/**
 * The words between the daemon and an agent, version 8. The agent says `hello`; the daemon answers `welcome` or
 * `refused`. A `lease` gives one job to one device of the agent, under an epoch that grows each time the job is given
 * anew; heartbeats keep leases alive; a result is sent until it is acknowledged. Contents are named by their SHA-256 and go
 * ahead of who names them (core/link/pieces.ts): models only when the agent says that it needs one.
 */
export const agentProtocol = 8;

/** How long an agent keeps a result that came too late, for the next one who asks for the same. */
export const mostHeldMs = 3_600_000;

const count = z.number().int().min(0);
const text = z.string().max(500);
const id = z.string().regex(/^[\w.:/-]{1,200}$/);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/** A cast: zod gives an optional field `undefined` as well, which a parsed document never holds. */
const targetSchema = z.object({
  model: text,
  clockHz: z.number().nullable(),
  runtime: text,
  runtimeVersion: text,
  provider: text,
  threads: count,
  dtype: z.enum(['float32', 'float16', 'int8']),
  batch: count.optional(),
  tier: text,
}) as unknown as z.ZodType<Target>;

/** What a device is once it was opened: a phone tells its browser and threads only then. */
export const openedSchema = z.object({ abilities: z.array(z.enum(abilities)), target: targetSchema });
export type OpenedDevice = z.infer<typeof openedSchema>;

/** Each is stored for good: no machine has more. */
const mostDevices = 1000;

/** A device that another machine offers, or a plug-in. */
export const offeredDeviceSchema = z.object({
  id,
  kind: text,
  label: text,
  target: targetSchema,
  host: text.nullable(),
  obstacle: z.string().max(1000).nullable(),
});
const offeredSchema = z.array(offeredDeviceSchema).max(mostDevices);
export type OfferedDevice = z.infer<typeof offeredSchema>[number];

const holdSchema = z.object({ job: id, epoch: count });
/** One job under one epoch: only this pair's result is taken. */
export type Hold = z.infer<typeof holdSchema>;
export const sameHold = (a: Hold, b: Hold): boolean => a.job === b.job && a.epoch === b.epoch;

const holds = z.array(holdSchema).max(1000);

/** What an agent's clocks say as it speaks: see `ClockReading`. */
const readingSchema = z.object({ wallMs: z.number(), monotonicMs: z.number() });

/** ws addresses of the daemon, the best first. */
const addressesSchema = z.array(z.string().max(300)).max(100);

export const agentHelloSchema = z.object({
  op: z.literal('hello'),
  proto: z.number().int(),
  token: z.string().max(200).optional(),
  key: z.string().max(200).optional(),
  /** Made up by each process: tells an agent that is back from another one with its key. */
  instance: z.string().regex(/^[\w-]{8,64}$/),
  /** A person asked for it: another instance that is connected gives way. */
  takeOver: z.boolean(),
  name: text,
  devices: offeredSchema,
  running: holds,
  /** Results that wait in its outbox. */
  finished: holds,
  clock: readingSchema.optional(),
  /** Hash of its kernel's boot id, where it has one. */
  boot: sha256.optional(),
});

export type AgentHello = z.infer<typeof agentHelloSchema>;

const errorSchema = z.object({
  code: z.custom<keyof typeof errorTable>(
    (code) => typeof code === 'string' && Object.hasOwn(errorTable, code),
  ),
  message: z.string().max(5000),
  hint: z.string().max(1000),
  retryable: z.boolean(),
  details: z.record(z.string(), z.unknown()),
});

export const agentMessageSchema = z.discriminatedUnion('op', [
  z.object({ op: z.literal('devices'), devices: offeredSchema }),
  z.object({ op: z.literal('heartbeat'), running: holds }),
  z.object({ op: z.literal('clock'), id: count, ...readingSchema.shape }),
  z.object({ op: z.literal('need'), ...holdSchema.shape, sha256 }),
  z.object({ op: z.literal('progress'), ...holdSchema.shape, step: text, done: z.number(), of: z.number() }),
  z.object({ op: z.literal('blob'), transfer: count, bytes: count, sha256 }),
  z.object({ op: z.literal('got'), transfer: count, bytes: count }),
  z.object({ op: z.literal('refuse'), transfer: count, detail: z.string().max(1000) }),
  z.object({
    op: z.literal('result'),
    ...holdSchema.shape,
    value: z.unknown(),
    /** The content that is the value as JSON, in place of a long one: a message holds up all that comes after it. */
    valueContent: sha256.optional(),
    /** Its tensors (tensor-bytes.ts), where it has any. */
    tensors: sha256.optional(),
    /** It answers work that was done before it was asked for, and ended this long before that at most. */
    heldMs: z.number().min(0).max(mostHeldMs).optional(),
  }),
  z.object({ op: z.literal('failed'), ...holdSchema.shape, error: errorSchema }),
]);
export type AgentMessage = z.infer<typeof agentMessageSchema> | AgentHello;

export const hubMessageSchema = z.discriminatedUnion('op', [
  z.object({
    op: z.literal('welcome'),
    proto: z.number(),
    id: text,
    key: z.string().nullable(),
    heartbeatMs: z.number(),
    /** The running jobs that still count; all others are to be dropped. */
    keep: holds,
    addresses: addressesSchema.optional(),
  }),
  /** It can be reached there from now on. */
  z.object({ op: z.literal('addresses'), addresses: addressesSchema }),
  /** What do your clocks say? Asked now and then, so that times of results can be placed. */
  z.object({ op: z.literal('clock'), id: count }),
  z.object({ op: z.literal('refused'), code: z.string(), detail: z.string(), hint: z.string() }),
  z.object({
    op: z.literal('lease'),
    ...holdSchema.shape,
    device: id,
    model: z.object({ sha256, bytes: count, binding: bindingSchema }).nullable(),
    /** Elements that inputs of the model hold, fetched as models are. */
    feeds: z.object({ sha256, bytes: count }).nullable(),
    /** Tensors, fetched as models are. */
    inputs: z.object({ sha256, bytes: count }).nullable(),
    work: sentWorkSchema,
  }),
  z.object({ op: z.literal('blob'), transfer: count, bytes: count, sha256 }),
  z.object({ op: z.literal('got'), transfer: count, bytes: count }),
  /** Says that the line is alive. */
  z.object({ op: z.literal('beat') }),
  z.object({ op: z.literal('ack'), ...holdSchema.shape, accepted: z.boolean() }),
  z.object({ op: z.literal('cancel'), ...holdSchema.shape }),
]);
export type HubMessage = z.infer<typeof hubMessageSchema>;

const number = z.number();
const summarySchema = z.object({
  n: count,
  min: number,
  median: number,
  p90: number,
  mad: number,
  ciLow: number,
  ciHigh: number,
});

const countsSchema = z.looseObject({
  unit: z.enum(['cycles', 'instructions']),
  total: number,
  operators: z.array(z.looseObject({ name: text, op: text, count: number })).max(10_000),
  arenaPeakBytes: count,
  arenaPlannedBytes: count,
  stackPeakBytes: count,
  peakRamBytes: count,
  flashBytes: count,
  weights: z.enum(['real', 'pool']),
  firmwareBuild: text,
});

/** What an agent's word is checked against; fields that a later version adds pass through. */
export const measurementSchema = z.looseObject({
  target: targetSchema,
  provenance: z.enum(['measured', 'emulated', 'predicted', 'imported']),
  protocol: text,
  structureHash: sha256,
  weightsHash: sha256,
  latency: z
    .looseObject({
      rawUs: summarySchema,
      ratio: summarySchema,
      normalisedUs: number,
      normalisedCiUs: z.tuple([number, number]).readonly(),
      spread: z
        .object({
          within: number,
          between: number,
          regime: number,
          freedom: number,
          sessions: number,
          repeats: number,
        })
        .nullable()
        .optional(),
      clockOff: number.min(0).max(0.5).nullable().optional(),
      reference: z.enum(['convolution', 'transformer', 'none']),
      convolutionWeight: number.nullable().optional(),
      loadUs: number.nullable(),
      firstRunUs: number.nullable(),
    })
    .nullable(),
  counts: countsSchema.nullable(),
  memory: z.looseObject({
    weightBytes: number,
    activationPeakBytes: number.nullable(),
    peakBytes: number.nullable(),
    runPeakRssBytes: number.nullable(),
  }),
  verdict: z.enum(['valid', 'noisy', 'throttled', 'drifted', 'contended', 'suspect']),
  reason: z.string().max(2000),
  manifest: z.record(z.string(), z.json()),
  rounds: z
    .array(
      z.object({
        referenceBeforeUs: number,
        candidateUs: number,
        referenceAfterUs: number,
        kept: z.boolean(),
      }),
    )
    .max(10_000),
  takenAtMs: number,
  durationMs: number,
});
export const asMeasurement = (checked: z.infer<typeof measurementSchema>): Measurement =>
  checked as unknown as Measurement;

export const operatorCostsSchema = z.array(operatorCostSchema);
export { calibrationSchema, deploymentSchema };

import { z } from 'zod';
import type { Architecture } from '../core/architecture.js';
import type { Json } from '../core/json.js';
import type { Target } from '../core/target.js';
import type { AttemptNote } from '../jobs/job.js';
import type { EarlierStudy } from '../search/samplers/contract.js';
import type { BenchmarkCaseRecord } from '../store/benchmark-contract.js';
import type { DeviceRecord, MeasurementRecord, TrialRecord } from '../store/contract.js';
import type { Heard } from '../study/heard.js';
import type { Launch } from '../study/launches.js';

/** Grows with every change that an older reader would misread. */
export const journalFormat = 1;

/** The first line of a journal. */
export const headerSchema = z.object({
  hilda: z.literal('journal'),
  format: z.number().int(),
  subject: z.enum(['study', 'benchmark']),
  /** Of hilda, when it was exported, and when the subject ran. */
  version: z.string().max(100),
  versions: z.array(z.string().max(100)).max(1000),
  node: z.string().max(100),
  exportedMs: z.number(),
  id: z.string().max(100),
  name: z.string().max(1000),
  /** A study's specification, or a suite. */
  spec: z.json(),
  state: z.string().max(100),
  reason: z.string().nullable(),
  createdMs: z.number(),
  /** Of a study that does not run: the states after its last trial. */
  end: z.object({ sampler: z.json(), rng: z.json() }).nullable(),
});
export type JournalHeader = z.infer<typeof headerSchema>;

const text = z.string().max(10_000);
const count = z.number().int().min(0).max(10_000_000);
const target = z
  .looseObject({
    model: text,
    clockHz: z.number().nullable(),
    runtime: text,
    runtimeVersion: text,
    provider: text,
    threads: z.number(),
    dtype: z.enum(['float32', 'float16', 'int8']),
    tier: text,
  })
  .transform((value) => value as unknown as Target);
const device = z.object({
  id: text,
  kind: text,
  label: text,
  target,
  host: text.nullable(),
});
const interval = z.tuple([z.number(), z.number()]);
const measurement = z.looseObject({
  id: text,
  deviceId: text,
  target,
  provenance: z.enum(['measured', 'emulated', 'imported']),
  protocol: text,
  structureHash: text,
  weightsHash: text,
  latency: z.looseObject({ normalisedUs: z.number(), normalisedCiUs: interval }).nullable(),
  counts: z
    .looseObject({ unit: z.enum(['cycles', 'instructions']), total: z.number(), flashBytes: z.number() })
    .nullable(),
  memory: z.looseObject({ peakBytes: z.number().nullable() }),
  verdict: z.enum(['valid', 'noisy', 'throttled', 'drifted', 'contended', 'suspect']),
  reason: z.string(),
  manifest: z.record(z.string(), z.json()),
  takenAtMs: z.number(),
  durationMs: z.number(),
});
const error = z.looseObject({
  code: z.string(),
  message: z.string(),
  hint: z.string(),
  details: z.record(z.string(), z.unknown()),
});
const attempt = z.object({
  deviceId: text,
  measurementId: text.nullable(),
  error: error.nullable(),
  startedMs: z.number().nullable(),
  endedMs: z.number(),
});
const numbers = z.record(z.string(), z.number());
const quality = z.looseObject({ values: numbers, source: z.string() }).nullable();
const heard = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('device'),
    work: z.enum(['measure', 'classify']),
    device: text,
    late: z.boolean(),
    attempts: z.array(attempt).max(1000),
    measurementId: text.nullable(),
    classifies: z.boolean().nullable(),
    error: error.nullable(),
  }),
  z.object({ kind: z.literal('evaluator'), quality, error: error.nullable() }),
  z.object({
    kind: z.literal('deployed'),
    device: text.nullable(),
    late: z.boolean(),
    quality,
    error: error.nullable(),
  }),
]);
const trial = z.object({
  number: count,
  architectureId: text,
  architecture: z.json(),
  note: z.string(),
  state: z.enum(['asked', 'complete', 'infeasible', 'failed']),
  values: numbers,
  evidence: z.record(z.string(), z.json()),
  predicted: z.record(z.string(), z.object({ mean: z.number(), low: z.number(), high: z.number() })),
  measurements: z.record(z.string(), text),
  reason: z.string().nullable(),
  askedMs: z.number(),
  finishedMs: z.number().nullable(),
  heard: z.array(heard).max(10_000),
});
const benchmarkCase = z.object({
  number: count,
  network: text,
  place: text,
  repetition: count,
  asked: z.json(),
  state: z.enum(['open', 'done', 'failed', 'cancelled']),
  deviceId: text.nullable(),
  measurementId: text.nullable(),
  error: error.nullable(),
  endedMs: z.number().nullable(),
  heard: z.array(attempt).max(1000).nullable(),
});
const launch = z.object({
  asked: count,
  atMs: z.number(),
  version: z.string().nullable(),
  predictors: z.array(z.looseObject({ id: text })),
});
const told = z.object({
  number: count,
  id: text,
  architecture: z.json(),
  state: z.enum(['complete', 'infeasible', 'failed']),
  values: numbers,
});
const earlier = z.object({
  id: text,
  objectives: z.array(z.object({ metric: text, goal: z.enum(['min', 'max']) })),
  constraints: z.array(z.object({ metric: text, max: z.number() })),
  history: z.array(told),
});

/** Every line but the first and the last. */
export const lineSchema = z.discriminatedUnion('line', [
  z.object({ line: z.literal('device'), device }),
  z.object({ line: z.literal('measurement'), measurement }),
  z.object({ line: z.literal('launch'), launch }),
  z.object({ line: z.literal('earlier'), earlier }),
  z.object({ line: z.literal('trial'), trial }),
  z.object({ line: z.literal('case'), case: benchmarkCase }),
  z.object({ line: z.literal('blob'), sha256: z.string().regex(/^[0-9a-f]{64}$/), base64: z.string() }),
]);

/** The last line: how many there are before it, and the SHA-256 of their bytes. */
export const endSchema = z.strictObject({
  line: z.literal('end'),
  lines: count,
  sha256: z.string(),
});

/** A measurement without its rounds: nothing of the loop reads them. */
export type JournalMeasurement = Omit<MeasurementRecord, 'studyId' | 'trialNumber' | 'rounds'>;

export type JournalTrial = Omit<TrialRecord, 'studyId' | 'told' | 'result' | 'architecture'> & {
  readonly architecture: Architecture;
  readonly heard: readonly Heard[];
};

export type JournalCase = Omit<BenchmarkCaseRecord, 'run' | 'jobId'> & {
  /** Null: it is open, or was not worked on. */
  readonly heard: readonly AttemptNote[] | null;
};

export type JournalDevice = Pick<DeviceRecord, 'id' | 'kind' | 'label' | 'target' | 'host'>;

/** One line's content, as exporters give it. */
export type JournalLine =
  | { readonly line: 'device'; readonly device: JournalDevice }
  | { readonly line: 'measurement'; readonly measurement: JournalMeasurement }
  | { readonly line: 'launch'; readonly launch: Launch }
  | { readonly line: 'earlier'; readonly earlier: EarlierStudy }
  | { readonly line: 'trial'; readonly trial: JournalTrial }
  | { readonly line: 'case'; readonly case: JournalCase }
  | { readonly line: 'blob'; readonly sha256: string; readonly base64: string };

/** A whole journal, read and checked. */
export interface Journal {
  readonly header: Omit<JournalHeader, 'spec' | 'end'> & {
    readonly spec: Json;
    readonly end: { readonly sampler: Json; readonly rng: Json } | null;
  };
  readonly devices: readonly JournalDevice[];
  readonly measurements: ReadonlyMap<string, JournalMeasurement>;
  readonly launches: readonly Launch[];
  readonly earlier: readonly EarlierStudy[];
  /** By number, without gaps. */
  readonly trials: readonly JournalTrial[];
  /** By number, without gaps. */
  readonly cases: readonly JournalCase[];
  /** By SHA-256, each checked. */
  readonly blobs: ReadonlyMap<string, Uint8Array>;
}

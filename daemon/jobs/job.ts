import { z } from 'zod';
import type { DeviceId, MeasurementId, StudyId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { Examples, Tensors } from '../devices/contract.js';
import { deploymentSchema } from '../devices/schemas.js';
import { workSchema } from '../devices/work.js';
import type { Graph } from '../network/graph.js';
import type { CalibrationData } from '../runtime/calibration-data.js';
import type { JobRecord, MeasurementRecord, TrialOfMeasurement } from '../store/contract.js';
import { type Selector, selectorSchema } from './selector.js';

/**
 * What a job does: device work, or to hand the device over. Two things are settled only when the device is open: whether a
 * measurement that is stored will do, and what was deployed last.
 */
const jobWorkSchema = z.union([
  /** `recall`: a valid measurement of the same network, target and protocol, taken since then, takes the place of a new one. */
  z.object({
    ...workSchema.options[0].shape,
    recall: z.boolean().default(false),
    recallSinceMs: z.number().default(0),
  }),
  z.object({ kind: z.literal('runDeployed'), deployment: deploymentSchema.nullable() }),
  /** The device is handed to a person or a script. */
  z.object({ kind: z.literal('lease'), holder: z.string(), ttlMs: z.number() }),
  workSchema,
]);
export type JobWork = z.input<typeof jobWorkSchema>;

/** How a person's request names a network. */
export interface ModelRef {
  /** SHA-256 of an uploaded model. */
  readonly model: string;
  readonly dims?: Readonly<Record<string, number>> | undefined;
  readonly shapes?: Readonly<Record<string, readonly number[]>> | undefined;
  readonly inputs?: Readonly<Record<string, InputRef>> | undefined;
}

export type InputRef =
  | number
  | boolean
  | string
  | { readonly range: readonly [number, number] }
  | { readonly values: readonly number[] }
  | { readonly blob: string; readonly format: 'npy' | 'raw' };

/** A network that its owner builds, and hands over in memory: the job ends with the daemon, and its owner asks again. */
export interface BuiltRef {
  readonly structure: string;
}

export type NetworkRef = ModelRef | BuiltRef;

/** What a deployment is calibrated on, or what a deployed network is fed with. Blobs by their SHA-256. */
export type InputsRef =
  | { readonly examples: readonly (readonly number[])[] }
  | { readonly blobs: readonly string[] }
  | { readonly ranges: string }
  | { readonly values: readonly number[] }
  | { readonly blob: string }
  /** In memory, see `BuiltRef`. */
  | { readonly built: string };

export type Owner =
  | { readonly kind: 'person' }
  | { readonly kind: 'study'; readonly study: StudyId; readonly trial: number; readonly late: boolean }
  /** `health`: whether the device is fit; also one in quarantine does it. */
  | { readonly kind: 'campaign' | 'comparison' | 'benchmark' | 'rollout' | 'health'; readonly name: string };

/** Materials that the submitter has in memory already. */
export interface Given {
  readonly network?: Graph;
  readonly examples?: Examples;
  readonly inputs?: readonly Tensors[] | CalibrationData;
  /** Hears of each attempt once it is stored, before its job ends. */
  readonly onAttempt?: (note: AttemptNote) => void;
}

/** How one attempt of a job ended. */
export interface AttemptNote {
  readonly deviceId: DeviceId;
  /** Stored with it, or recalled; null where it gave none. */
  readonly measurementId: MeasurementId | null;
  /** An error document; null where it gave something. */
  readonly error: Json | null;
  readonly startedMs: number | null;
  readonly endedMs: number;
}

export interface JobRequest {
  readonly work: JobWork;
  readonly network?: NetworkRef | null;
  readonly inputs?: InputsRef | null;
  readonly devices: Selector;
  readonly owner: Owner;
  /** Higher goes first; default 0. */
  readonly priority?: number;
  /** How often it is tried in all; default 1. */
  readonly maxAttempts?: number;
  readonly runAtMs?: number | null;
  /** Fails with DEVICE_TIMEOUT unless it began by then. */
  readonly deadlineMs?: number | null;
  /** It goes when the signal given to `submit` aborts, and with the daemon. */
  readonly attached?: boolean;
  readonly idempotencyKey?: string | null;
  readonly given?: Given;
}

/** What a job yielded. `measurement` may be one that is not valid: no attempt gave a better one. */
export interface Outcome {
  readonly job: JobRecord;
  readonly measurement: MeasurementRecord | null;
  /** The value that the device answered with, e.g. a profile or a deployment. */
  readonly value: unknown;
  readonly outputs: Tensors | null;
  /** Whether the device runs a network of its own, e.g. int8; null where no device was asked. */
  readonly classifies: boolean | null;
}

/** What a stored job holds, read back. Values were checked when it was submitted. */
export interface ParsedJob {
  readonly work: z.infer<typeof jobWorkSchema>;
  readonly network: NetworkRef | null;
  readonly inputs: InputsRef | null;
  readonly devices: Selector;
  readonly owner: Owner;
}

export const parseJob = (record: JobRecord): ParsedJob => ({
  work: jobWorkSchema.parse(record.work),
  network: record.network as NetworkRef | null,
  inputs: record.inputs as InputsRef | null,
  devices: selectorSchema.parse(record.devices) as Selector,
  owner: record.owner as unknown as Owner,
});

/** Jobs of one share take turns with those of the others. */
export function shareOf(owner: Owner): string {
  if (owner.kind === 'study') return `study:${owner.study}`;
  return owner.kind === 'person' ? 'people' : `${owner.kind}:${owner.name}`;
}

export function trialOf(owner: Owner): TrialOfMeasurement | undefined {
  return owner.kind === 'study' ? { studyId: owner.study, number: owner.trial, late: owner.late } : undefined;
}

/** Whether only its owner can give what it needs: it cannot outlive the daemon. */
export const isBuilt = ({ network, inputs }: Pick<JobRecord, 'network' | 'inputs'>): boolean =>
  (network !== null && Object.hasOwn(network as object, 'structure')) ||
  (inputs !== null && Object.hasOwn(inputs as object, 'built'));

/** Whose fault a failure is, is settled for work that runs a network to learn its cost. */
export const isSettled = ({ kind }: ParsedJob['work']): boolean => kind === 'measure' || kind === 'profile';

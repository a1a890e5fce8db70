import { z } from 'zod';
import { HildaError } from '../core/errors.js';
import type { Json } from '../core/json.js';
import { bindingFields, sha256 } from '../jobs/input-schemas.js';
import type { InputsRef, ModelRef } from '../jobs/job.js';

/** What a rollout is asked for with, and what is stored of it once models, devices and promises are known. */

const name = z.string().min(1).max(200);
const selector = z.string().min(1).max(2000);

const promiseSchema = z.strictObject({
  metric: z.enum(['latencyUs', 'cycles', 'instructions']),
  target: name.optional().describe('A model of devices; left out, all of them.'),
  low: z.number().positive().optional(),
  high: z.number().positive().optional(),
  max: z.number().positive().optional().describe('Of counts: a limit, in place of an interval.'),
});

export const rolloutSpecSchema = z
  .strictObject({
    name: z
      .string()
      .regex(/^[A-Za-z0-9][\w.-]{0,99}$/, 'letters, digits, `.`, `_` and `-`, at most 100')
      .optional()
      .describe('What devices will say that they run; versions of one name are numbered.'),
    model: sha256.optional().describe('Of POST /v1/models; or `study` and `trial`.'),
    study: name.optional(),
    trial: z.int().min(0).optional(),
    ...bindingFields,
    ranges: sha256.optional().describe('The blob of a ranges file that boards quantise by.'),
    calibration: z
      .strictObject({ blobs: z.array(sha256).min(1).max(1000) })
      .optional()
      .describe('Blobs of inputs that boards quantise by, in place of ranges.'),
    devices: z
      .union([selector, z.array(selector).min(1).max(10_000)])
      .describe('Selectors: a device id, `target=MODEL` or `tag=TAG` for each device that fits.'),
    waves: z
      .array(z.union([z.int(), z.string().regex(/^\d{1,3}(\.\d+)?%$/, 'a count, or a share such as 10%')]))
      .min(1)
      .max(1000)
      .optional()
      .describe('Sizes; what is left after them is one more wave. By default one device, 10%, the rest.'),
    pauseS: z.number().min(0).max(2_592_000).default(0).describe('Between two waves.'),
    stop: z
      .union([
        z.strictObject({ failed: z.int().min(0) }),
        z.strictObject({ share: z.number().min(0).max(1) }),
      ])
      .default({ failed: 0 })
      .describe('More failed devices than this, or than this share of all, stop the rollout.'),
    protocol: name.default('quick'),
    promise: z
      .array(promiseSchema)
      .max(100)
      .optional()
      .describe('In place of what the trial or a device of the same target was measured with.'),
    margin: z
      .number()
      .min(0)
      .max(1)
      .default(0.05)
      .describe(
        'So much two devices of a target may differ; 0.05 is 5 %. Counts of emulated boards never do.',
      ),
    selfTest: z
      .strictObject({
        inputs: z.int().min(1).max(20).default(3),
        seed: z.int().min(0).default(1),
        tolerance: z
          .number()
          .positive()
          .max(1)
          .default(1e-3)
          .describe('Of the largest value of an output, where no integer reference says each bit.'),
      })
      .default({ inputs: 3, seed: 1, tolerance: 1e-3 }),
    atOnce: z.int().min(1).max(1000).default(50).describe('Devices at work at the same time.'),
    deadlineS: z.number().positive().max(604_800).default(600).describe('Of each step of a device.'),
    restoreS: z
      .number()
      .positive()
      .max(604_800)
      .default(600)
      .describe('So long a device that is to be put back is waited for.'),
  })
  .meta({ id: 'RolloutSpec' });
export type RolloutSpec = z.infer<typeof rolloutSpecSchema>;

/** What a device's cost is held against. */
export type Promised =
  /** Of another device: two estimates that may differ by the margin. */
  | {
      readonly kind: 'estimate';
      readonly metric: string;
      readonly value: number;
      readonly ci: readonly [number, number];
      readonly source: string;
    }
  /** As given. */
  | {
      readonly kind: 'interval';
      readonly metric: string;
      readonly low: number;
      readonly high: number;
      readonly source: string;
    }
  /** Counts of an emulator, to the last one. */
  | { readonly kind: 'exact'; readonly metric: string; readonly value: number; readonly source: string }
  | { readonly kind: 'limit'; readonly metric: string; readonly max: number; readonly source: string };

/** As stored. */
export interface RolloutRequest
  extends Pick<
    RolloutSpec,
    'pauseS' | 'stop' | 'protocol' | 'margin' | 'selfTest' | 'atOnce' | 'deadlineS' | 'restoreS'
  > {
  readonly network: ModelRef;
  /** What boards quantise by. */
  readonly inputs: InputsRef | null;
  readonly structureHash: string;
  readonly weightsHash: string;
  /** Where the network comes from, in words. */
  readonly source: string;
  /** Devices of each wave. */
  readonly waves: readonly number[];
  /** By the key of a target. */
  readonly promises: Readonly<Record<string, Promised>>;
}

export const requestOf = (stored: Json): RolloutRequest => stored as unknown as RolloutRequest;

/** Throws SPEC_INVALID, which names each field that is wrong. */
export function parseRolloutSpec(given: unknown): RolloutSpec {
  const parsed = rolloutSpecSchema.safeParse(given);
  if (!parsed.success) throw invalid(z.prettifyError(parsed.error), parsed.error);
  const { model, study, trial, ranges, calibration } = parsed.data;
  if ((model === undefined) === (study === undefined)) throw invalid('give a model, or a study and a trial');
  if ((study === undefined) !== (trial === undefined))
    throw invalid('a study needs a trial, and a trial a study');
  if (ranges !== undefined && calibration !== undefined)
    throw invalid('ranges and calibration are two answers to one question');
  return parsed.data;
}

/** Of the specification of a rollout. */
export const invalid = (
  message: string,
  cause?: unknown,
  details: Record<string, unknown> = {},
): HildaError =>
  new HildaError('SPEC_INVALID', `the rollout: ${message}`, {
    hint: 'docs/rollouts.md describes each field.',
    cause,
    details,
  });

import { z } from 'zod';
import { calibrationSchema } from '../measure/calibration.js';
import { protocolSchema } from '../measure/protocol.js';
import { deploymentSchema } from './schemas.js';
import { networkRangesSchema } from './stored-ranges.js';

/**
 * The one vocabulary of device work: what jobs hold and what agents receive. `perform` does a piece of work on an open
 * device. Networks and inputs travel beside the work.
 */

/** Members of `Device` that a device may lack. */
export const abilities = [
  'calibrate',
  'profile',
  'classify',
  'run',
  'deploy',
  'runDeployed',
  'rehearse',
  'erase',
  'reset',
] as const;
export type Abilities = readonly (typeof abilities)[number][];

const works = [
  z.object({
    kind: z.literal('measure'),
    protocol: protocolSchema,
    /** Adopted before the measurement. It travels along: an agent that was restarted must not invent a new unit. */
    calibration: calibrationSchema.nullable(),
    /** See `CallOptions.ramBytes`; null for no limit. */
    ramBytes: z.number().positive().nullable(),
  }),
  z.object({ kind: z.literal('calibrate'), known: calibrationSchema.nullable() }),
  z.object({ kind: z.literal('profile') }),
  /** Takes two sets of inputs (see agent/examples.ts); `batch` is that of the calibration. */
  z.object({ kind: z.literal('classify'), batch: z.number().int().min(1) }),
  /** Takes one set of inputs. */
  z.object({ kind: z.literal('run') }),
  /** Takes as many sets of inputs as there are to calibrate on. */
  z.object({ kind: z.literal('deploy'), ranges: networkRangesSchema.nullable() }),
  /** Takes one set of inputs. */
  z.object({ kind: z.literal('runDeployed'), deployment: deploymentSchema }),
  /** Takes what `deploy` takes. Devices that run networks without keeping them answer null. */
  z.object({
    kind: z.literal('rehearse'),
    ranges: networkRangesSchema.nullable(),
    tests: z.object({ seed: z.int().min(0), count: z.int().min(1).max(100) }),
  }),
  z.object({ kind: z.literal('erase') }),
  z.object({ kind: z.literal('reset') }),
] as const;

export const workSchema = z.discriminatedUnion('kind', [...works]);
export type Work = z.infer<typeof workSchema>;

/** What agents receive: also to open a device, and to tell which optional members it has. */
export const sentWorkSchema = z.discriminatedUnion('kind', [...works, z.object({ kind: z.literal('open') })]);
export type SentWork = z.infer<typeof sentWorkSchema>;

import { z } from 'zod';
import { jobStates } from '../store/state-names.js';
import { measurementSchema } from './measurement-schemas.js';
import { problemSchema } from './schemas.js';

/** Jobs as they cross the wire. */

export const jobSchema = z
  .object({
    id: z.string(),
    state: z.enum(jobStates),
    work: z
      .string()
      .describe(
        'What is done: measure, profile, classify, run, deploy, runDeployed, rehearse, erase, reset.',
      ),
    devices: z
      .string()
      .describe('Where it may run: a device, pool=DEVICE for one of its equals, target=MODEL, tag=TAG,TAG.'),
    deviceId: z.string().nullable().describe('Where it runs, or ran last.'),
    priority: z.int().describe('Higher goes first.'),
    share: z.string().describe('Shares take turns with device time, among jobs of one priority.'),
    attempt: z.int().describe('How often it was begun.'),
    maxAttempts: z.int(),
    waitsFor: z.string().nullable().describe('Why a queued one does not run; null for the others.'),
    createdMs: z.int(),
    startedMs: z.int().nullable(),
    endedMs: z.int().nullable(),
    deadlineMs: z.int().nullable().describe('It fails unless it began by then.'),
    measurement: measurementSchema.nullable().describe('What it yielded, where that is a measurement.'),
    result: z.json().describe('What it yielded: by `work`, operators, outputs or a deployment.'),
    problem: problemSchema
      .nullable()
      .describe('Why it failed or was cancelled, or what its last attempt met.'),
  })
  .meta({
    id: 'Job',
    description: 'Device work: stored before it is answered, taken up again by a daemon that was restarted.',
  });

export type JobView = z.infer<typeof jobSchema>;

import { z } from 'zod';

/** How a measurement is taken. Protocols are data: JSON files under profiles/protocols, checked against this. */
export const protocolSchema = z.strictObject({
  name: z.string().regex(/^[a-z][a-z0-9-]*$/),
  /** Warm-up ends when two consecutive medians of `warmupBlock` runs differ by less than `warmupTolerance`. */
  warmupBlock: z.number().int().min(1).max(100),
  warmupTolerance: z.number().gt(0).max(1),
  warmupMaxMs: z.number().min(1).max(60_000),
  /** Timed inferences in a row within each leg of a round (reference, candidate, reference). */
  runsPerLeg: z.number().int().min(1).max(100),
  minRounds: z.number().int().min(3).max(10_000),
  maxRounds: z.number().int().min(3).max(10_000),
  /** Wall-clock budget for the rounds of one measurement. */
  maxMs: z.number().min(10).max(3_600_000),
  /**
   * A session stops once the 95 % interval of the median ratio is at most this wide, half-width over median. Where several
   * sessions are allowed, they are taken until the interval of both variances is this wide.
   */
  ciHalfWidth: z.number().gt(0).max(1),
  /** Sessions (a fresh process each) that one measurement consists of. One and one where they are left out. */
  minSessions: z.number().int().min(1).max(50).optional(),
  maxSessions: z.number().int().min(1).max(50).optional(),
  /** A round is rejected when its two reference legs differ by more than this share. */
  referenceTolerance: z.number().gt(0).max(10),
});

export type Protocol = z.infer<typeof protocolSchema>;

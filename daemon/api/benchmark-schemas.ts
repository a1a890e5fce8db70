import { z } from 'zod';
import { isImported } from '../benchmarks/imports/imported-run.js';
import { suiteName } from '../benchmarks/suites/suite.js';
import { fromErrorDocument } from '../core/errors.js';
import type { BenchmarkCaseRecord, BenchmarkRunRecord } from '../store/benchmark-contract.js';
import { campaignStates } from '../store/state-names.js';
import { toProblem } from './problem.js';
import { problemSchema } from './schemas.js';

/** Runs of benchmark suites as they cross the wire. */

export const benchmarkRunSchema = z
  .object({
    id: z.string(),
    suite: z.string(),
    specHash: z.string().describe('Of the suite as it was when the run began.'),
    state: z.enum(campaignStates),
    done: z.int(),
    of: z.int(),
    imported: z.boolean().describe('Somebody else published its figures: nothing was measured here.'),
    isBaseline: z.boolean().describe('Later runs of the suite are held against it.'),
    createdMs: z.int(),
    endedMs: z.int().nullable(),
    problem: problemSchema.nullable(),
  })
  .meta({ id: 'BenchmarkRun', description: 'A run of a suite: it goes on when the daemon was restarted.' });
export type BenchmarkRunView = z.infer<typeof benchmarkRunSchema>;

export const benchmarkCaseSchema = z
  .object({
    number: z.int(),
    network: z.string(),
    place: z.string(),
    repetition: z.int(),
    state: z.enum(['open', 'done', 'failed', 'cancelled']),
    jobId: z.string().nullable(),
    deviceId: z.string().nullable(),
    measurementId: z.string().nullable(),
    endedMs: z.int().nullable(),
    problem: problemSchema.nullable(),
  })
  .meta({ id: 'BenchmarkCase' });

export const benchmarkImportSchema = z.strictObject({
  suite: suiteName.default('imported'),
  files: z
    .array(z.object({ name: z.string().min(1).max(500), text: z.string() }))
    .min(1)
    .max(2000)
    .describe(
      'CSV tables, and files of MLPerf Tiny by their paths: `SYSTEM/BENCHMARK/performance/results.txt`.',
    ),
  device: z
    .string()
    .min(1)
    .max(200)
    .nullable()
    .default(null)
    .describe('The device of tables that name none.'),
});

export const baselineSchema = z
  .object({ suite: z.string(), run: z.string(), setMs: z.int() })
  .meta({ id: 'BenchmarkBaseline' });

export const viewBenchmarkRun = (
  { id, suite, specHash, state, done, of, createdMs, endedMs, error, request }: BenchmarkRunRecord,
  baselines: ReadonlySet<string>,
): BenchmarkRunView => ({
  id,
  suite,
  specHash,
  state,
  done,
  of,
  imported: isImported({ request }),
  isBaseline: baselines.has(id),
  createdMs,
  endedMs,
  problem: error ? toProblem(fromErrorDocument(error)) : null,
});

export const viewBenchmarkCase = ({
  run: _,
  asked: __,
  error,
  ...rest
}: BenchmarkCaseRecord): z.infer<typeof benchmarkCaseSchema> => ({
  ...rest,
  problem: error ? toProblem(fromErrorDocument(error)) : null,
});

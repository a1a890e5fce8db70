import { z } from 'zod';
import { costMetrics } from '../../core/measurement.js';
import { importedRowSchema } from '../../reading/benchmark-tables/imported-row.js';
import { gateOf } from '../comparison/gate.js';
import { limitStates } from '../comparison/limits.js';
import { type Ratio, ratioVerdicts } from '../comparison/ratio.js';
import type { Report } from '../comparison/report.js';
import { importedSchema } from '../imports/imported-run.js';

const interval = z.tuple([z.number(), z.number()]).readonly();
const metric = z.enum(costMetrics);
const ratioSchema = z
  .object({
    ratio: z.number().describe('The new cost over the old one.'),
    interval: interval.describe('All intervals of a report together hold at 95 %.'),
    exact: z.boolean().describe('Both sides are counted without error.'),
    verdict: z
      .enum(ratioVerdicts)
      .describe('same: the whole interval is within the tolerance; unclear: the interval does not decide.'),
  })
  .meta({ id: 'BenchmarkRatio' });

/** A report as data: what the API answers, and what every other form is made from. */
export const reportSchema = z
  .object({
    run: z.string(),
    suite: z.string(),
    specHash: z.string(),
    state: z.enum(['running', 'done', 'failed', 'cancelled']),
    startedMs: z.int(),
    endedMs: z.int().nullable(),
    rows: z.array(
      z.object({
        network: z.string(),
        place: z.string().describe('Where it was to be measured: a device, or a pool of equal ones.'),
        devices: z.array(z.string()).describe('Where it was measured.'),
        provenance: z.string().nullable().describe('Null without a valid measurement.'),
        structureHash: z.string().nullable(),
        measurements: z.array(z.string()),
        figures: z.array(z.object({ metric, value: z.number(), interval: interval.nullable() })),
        failures: z.array(z.string()).describe('Why a measurement is missing, one entry each.'),
        imported: importedRowSchema
          .nullable()
          .describe('What somebody else published; null for what was measured here.'),
      }),
    ),
    limits: z.array(
      z.object({
        metric,
        max: z.number(),
        network: z.string().nullable(),
        place: z.string().nullable(),
        value: z.number().nullable(),
        interval: interval.nullable(),
        state: z.enum(limitStates),
      }),
    ),
    alternated: z
      .array(
        z.object({
          place: z.string(),
          metric,
          networks: z.tuple([z.string(), z.string()]).readonly(),
          pairs: z.int(),
          ratio: ratioSchema.nullable(),
        }),
      )
      .describe('Two networks in turn: the second over the first.'),
    comparison: z
      .object({
        with: z.string().describe('The earlier run.'),
        suiteChanged: z.boolean(),
        compared: z.array(
          z.object({
            network: z.string(),
            place: z.string(),
            metric,
            before: z.number(),
            now: z.number(),
            networkChanged: z.boolean(),
            ...ratioSchema.shape,
          }),
        ),
        lost: z.array(z.object({ network: z.string(), place: z.string(), why: z.string() })),
      })
      .nullable(),
    imported: importedSchema.nullable().describe('From which files the run is; null for a run of a suite.'),
    beside: z
      .object({
        with: z.string().describe('The other run.'),
        pairs: z.array(
          z.object({
            network: z.string(),
            place: z.string(),
            otherPlace: z.string(),
            metric,
            before: z.number().describe('In the other run.'),
            now: z.number(),
            intervalOf: z
              .enum(['both', 'this', 'other'])
              .nullable()
              .describe(
                'Whose intervals the interval holds; null: neither side tells one, and it means nothing.',
              ),
            ...ratioSchema.shape,
          }),
        ),
      })
      .nullable()
      .describe(
        'In place of a comparison where one of the two runs is imported; nothing of it breaks a run.',
      ),
    broken: z.array(z.string()).describe('Limits and comparisons that fail: none, and the run passes.'),
    failed: z.array(z.string()).describe('Measurements that are missing.'),
    unclear: z.array(z.string()).describe('What the intervals do not decide.'),
  })
  .meta({ id: 'BenchmarkReport' });
export type ReportDocument = z.infer<typeof reportSchema>;

export function documentOf(report: Report): ReportDocument {
  const { run, rows, limits, alternated, comparison, imported, beside } = report;
  const { broken, failed, unclear } = gateOf(report);
  return {
    run: run.id,
    suite: run.suite,
    specHash: run.specHash,
    state: run.state,
    startedMs: run.createdMs,
    endedMs: run.endedMs,
    rows: rows.map(({ network, place, taken, figures, failures, imported: row }) => ({
      network,
      place,
      devices: [...new Set(taken.map(({ deviceId }) => deviceId))],
      provenance: row ? 'imported' : (taken[0]?.provenance ?? null),
      structureHash: taken[0]?.structureHash ?? null,
      measurements: taken.map(({ id }) => id),
      figures: figures.map((one) => ({ ...one })),
      failures: [...failures],
      imported: row,
    })),
    limits: limits.map((one) => ({ ...one })),
    alternated: alternated.map(({ ratio, ...one }) => ({ ...one, ratio: ratio && plain(ratio) })),
    comparison: comparison && {
      with: comparison.with.id,
      suiteChanged: comparison.suiteChanged,
      compared: comparison.compared.map(({ ratio, ...one }) => ({ ...one, ...plain(ratio) })),
      lost: comparison.lost.map((one) => ({ ...one })),
    },
    imported,
    beside: beside && {
      with: beside.with.id,
      pairs: beside.pairs.map(({ ratio, ...one }) => ({ ...one, ...plain(ratio) })),
    },
    broken: [...broken],
    failed: [...failed],
    unclear: [...unclear],
  };
}

const plain = (ratio: Ratio): Ratio => ({ ...ratio });

import type { Knex } from 'knex';
import type { ErrorDocument } from '../core/errors.js';
import { HildaError } from '../core/errors.js';
import type { DeviceId, JobId, MeasurementId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type {
  BenchmarkCaseRecord,
  BenchmarkCaseState,
  BenchmarkRunRecord,
  BenchmarkStore,
} from './benchmark-contract.js';
import { addCampaignIn, type CampaignRow, campaignOrdinal, tellCampaign, toCampaign } from './campaigns.js';
import { type Database, insertAll } from './database.js';
import { fromJsonText, toJsonText } from './json-columns.js';

type RunRow = CampaignRow & { readonly suite: string; readonly spec_hash: string };

interface CaseRow {
  readonly run: number;
  readonly number: number;
  readonly network: string;
  readonly place: string;
  readonly repetition: number;
  readonly asked: string;
  readonly state: BenchmarkCaseState;
  readonly job_id: JobId | null;
  readonly device_id: DeviceId | null;
  readonly measurement_id: MeasurementId | null;
  readonly error: string | null;
  readonly ended_ms: number | null;
}

const defaultLimit = 100;

export function benchmarkStore(database: Database): BenchmarkStore {
  return {
    addBenchmarkRun: ({ suite, spec, specHash, cases }) =>
      database.write(async (write) => {
        const campaign = { kind: 'benchmark', request: spec, of: cases.length };
        const ordinal = await addCampaignIn(write, campaign);
        await write.db('benchmark_runs').insert({ ordinal, suite, spec_hash: specHash });
        const rows = cases.map((one, number) => ({
          run: ordinal,
          number,
          network: one.network,
          place: one.place,
          repetition: one.repetition,
          asked: toJsonText(one.asked),
          state: 'open',
        }));
        await insertAll(write.all, 'benchmark_cases', rows);
        return { ...(await tellCampaign(ordinal, write)), suite, specHash };
      }),

    addImportedRun: ({ suite, spec, specHash, figures }) =>
      database.write(async (write) => {
        const { db, nowMs } = write;
        const of = figures.length;
        const ordinal = await addCampaignIn(write, { kind: 'benchmark', request: spec, of });
        await db('campaigns').where({ ordinal }).update({ state: 'done', done: of, ended_ms: nowMs });
        await db('benchmark_runs').insert({ ordinal, suite, spec_hash: specHash });
        const rows = figures.map(({ network, place, asked }, number) => ({
          run: ordinal,
          number,
          network,
          place,
          repetition: 0,
          asked: toJsonText(asked),
          state: 'done',
          ended_ms: nowMs,
        }));
        await insertAll(write.all, 'benchmark_cases', rows);
        return { ...(await tellCampaign(ordinal, write)), suite, specHash };
      }),

    endBenchmarkCase: (run, number, { state, jobId, deviceId, measurementId, error, heard }) =>
      database.write(async (write) => {
        const { db, nowMs, publish } = write;
        const ordinal = campaignOrdinal(run);
        const changed = await db('benchmark_cases')
          .where({ run: ordinal, number, state: 'open' })
          .update({
            state,
            job_id: jobId,
            device_id: deviceId,
            measurement_id: measurementId,
            error: error === null ? null : toJsonText(error),
            ended_ms: nowMs,
            heard: heard === undefined ? null : toJsonText(heard),
          });
        if (changed === 0) return;
        await publish('benchmarks', { type: 'case', run, number, state, deviceId, measurementId });
        await db('campaigns').where({ ordinal }).increment('done', 1);
        await tellCampaign(ordinal, write);
      }),

    benchmarkRun: async (id) => toRun(await database.read((db) => requireRun(db, campaignOrdinal(id)))),

    benchmarkRuns: async ({ suite, before, limit = defaultLimit } = {}) => {
      const rows = await database.read(async (db): Promise<RunRow[]> => {
        const query = runsOf(db).orderBy('benchmark_runs.ordinal', 'desc').limit(limit);
        if (suite !== undefined) query.where({ suite });
        if (before === undefined) return query;
        const { ordinal } = await requireRun(db, campaignOrdinal(before));
        return query.where('benchmark_runs.ordinal', '<', ordinal);
      });
      return rows.map(toRun);
    },

    benchmarkRunCount: (suite) =>
      database.read(async (db) => {
        const query = db('benchmark_runs').count({ n: '*' }).first<{ n: number }>();
        const { n } = await (suite === undefined ? query : query.where({ suite }));
        return Number(n);
      }),

    benchmarkCases: async (run, { from = 0, limit = 1_000_000 } = {}) => {
      const rows = await database.read<CaseRow[]>((db) =>
        db('benchmark_cases')
          .where({ run: campaignOrdinal(run) })
          .where('number', '>=', from)
          .orderBy('number')
          .limit(limit),
      );
      return rows.map(toCase);
    },

    benchmarkHeard: async (run) => {
      const rows = await database.read<{ number: number; heard: string | null }[]>((db) =>
        db('benchmark_cases')
          .select('number', 'heard')
          .where({ run: campaignOrdinal(run) })
          .orderBy('number'),
      );
      return rows.map(({ number, heard }) =>
        heard === null ? null : fromJsonText<Json>(heard, `case ${number} of the run ${run}`),
      );
    },

    setBaseline: (suite, run) =>
      database.write(async ({ db, nowMs, publish }) => {
        const row = { suite, run: campaignOrdinal(run), set_ms: nowMs };
        await db('benchmark_baselines').insert(row).onConflict('suite').merge();
        await publish('benchmarks', { type: 'baseline', suite, run });
        return { suite, run, setMs: nowMs };
      }),

    baselines: async () => {
      const rows = await database.read<{ suite: string; run: number; set_ms: number }[]>((db) =>
        db('benchmark_baselines').orderBy('suite'),
      );
      return rows.map(({ suite, run, set_ms: setMs }) => ({ suite, run: String(run), setMs }));
    },
  };
}

const runsOf = (db: Knex) =>
  db('benchmark_runs')
    .join('campaigns', 'campaigns.ordinal', 'benchmark_runs.ordinal')
    .select('campaigns.*', 'benchmark_runs.suite', 'benchmark_runs.spec_hash');

async function requireRun(db: Knex, ordinal: number): Promise<RunRow> {
  const row: RunRow | undefined = await runsOf(db).where({ 'benchmark_runs.ordinal': ordinal }).first();
  if (row) return row;
  throw new HildaError('NOT_FOUND', 'there is no such benchmark run', {
    hint: 'List them with `hilda bench list`, GET /v1/benchmarks.',
  });
}

const toRun = (row: RunRow): BenchmarkRunRecord => ({
  ...toCampaign(row),
  suite: row.suite,
  specHash: row.spec_hash,
});

const toCase = (row: CaseRow): BenchmarkCaseRecord => {
  const what = `case ${row.number} of the run ${row.run}`;
  return {
    run: String(row.run),
    number: row.number,
    network: row.network,
    place: row.place,
    repetition: row.repetition,
    asked: fromJsonText(row.asked, what),
    state: row.state,
    jobId: row.job_id,
    deviceId: row.device_id,
    measurementId: row.measurement_id,
    error: row.error === null ? null : fromJsonText<ErrorDocument>(row.error, what),
    endedMs: row.ended_ms,
  };
};

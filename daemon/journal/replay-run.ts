import { reportOf } from '../benchmarks/comparison/report.js';
import { seriesOf } from '../benchmarks/comparison/series.js';
import { runCase } from '../benchmarks/runs/run-case.js';
import { suiteOf } from '../benchmarks/suites/suite.js';
import { type ErrorDocument, fromErrorDocument, HildaError } from '../core/errors.js';
import { sha256Hex } from '../core/hash.js';
import type { BlobId } from '../core/ids.js';
import { canonicalJson, type Json } from '../core/json.js';
import { networkOf, type Places } from '../jobs/bound-network.js';
import type { JobRequest, ModelRef } from '../jobs/job.js';
import { Jobs } from '../jobs/jobs.js';
import { loadProtocol } from '../measure/protocols.js';
import { readHere } from '../reading/read-here.js';
import type { BenchmarkCaseRecord, BenchmarkRunRecord } from '../store/benchmark-contract.js';
import type { MeasurementRecord, Store } from '../store/contract.js';
import type { Journal, JournalCase } from './contract.js';
import { type Difference, differenceOf } from './difference.js';
import { type Replayed, type ReplayOptions, replayStore, requireVersion } from './replay.js';
import { ReplayClock } from './replay-clock.js';
import { ReplayDevices } from './replay-devices.js';
import { contentOf } from './replay-study.js';

export interface ReplayRunOptions extends ReplayOptions {
  readonly until?: number;
  /** Decodes the models of the journal: in a child, since other people made them. */
  readonly readNetwork: Places['readNetwork'];
}

/**
 * Runs the cases of a journal again without their devices, by the jobs and the store of a real run, and holds each row and the
 * run's figures against the recorded ones. Cases that ended without an attempt keep how they ended. Throws JOURNAL_MISMATCH, JOURNAL_INVALID, and
 * NOT_FOUND for `until` beyond its cases.
 */
export async function replayRun(journal: Journal, options: ReplayRunOptions): Promise<Replayed> {
  const { header, cases } = journal;
  const { until = Number.POSITIVE_INFINITY, signal } = options;
  requireVersion(journal, options);
  if (options.until !== undefined && !cases[options.until])
    throw new HildaError('NOT_FOUND', `the journal holds ${cases.length} cases, and no case ${until}`);
  const suite = suiteOf(header.spec);
  const over = new AbortController();
  const found: Difference[] = [];
  const devices = new ReplayDevices(journal, (difference) => {
    found.push(difference);
    over.abort(new HildaError('INTERRUPTED', 'the replay differs from what was recorded'));
  });
  const store = await replayStore(journal, options);
  const places = placesOf(journal, options);
  const jobs = new Jobs({ store, pool: devices, clock: options.clock, places, retryMs: 10, gatherMs: 0 });
  const ends = AbortSignal.any([signal, over.signal]);
  try {
    await jobs.start(ends);
    const run = await store.addBenchmarkRun({
      suite: suite.suite,
      spec: header.spec,
      specHash: sha256Hex(canonicalJson(header.spec)),
      cases: cases.map(({ network, place, repetition, asked }) => ({ network, place, repetition, asked })),
    });
    const parts = {
      store,
      clock: new ReplayClock(header.createdMs),
      protocol: loadProtocol(suite.protocol),
      attempts: suite.attempts,
      deadlineMs: null,
      // What a case ended with, its device's absence included, is known.
      patientUntilUs: 0,
      signal: ends,
      cancelled: new AbortController().signal,
    };
    for (const one of await store.benchmarkCases(run.id)) {
      const recorded = cases[one.number] as JournalCase;
      if (one.number > until || !isReplayed(recorded)) continue;
      const network = await networkOf(one.asked as unknown as ModelRef, places);
      await runCase(one, {
        ...parts,
        jobs: {
          submit: async (request) => {
            const last = recorded.heard?.at(-1);
            if (!last) throw fromErrorDocument(recorded.error as ErrorDocument);
            const attempts = recorded.heard?.filter(({ deviceId }) => deviceId === last.deviceId) ?? [];
            const where = `case ${one.number}`;
            const known: JobRequest = {
              ...request,
              devices: { device: last.deviceId },
              maxAttempts: attempts.length,
              given: {
                ...request.given,
                network: devices.expecting(network, { where, attempts, classifies: false }),
              },
            };
            return jobs.submit(known);
          },
          show: (id) => jobs.show(id),
          cancel: (id) => jobs.cancel(id),
        },
      }).catch((thrown: unknown) => {
        if (!over.signal.aborted) throw thrown;
      });
      if (over.signal.aborted) break;
    }
    return await compared(journal, { until, found, store, run });
  } finally {
    await jobs.stop();
    await store.close();
  }
}

/** Whether something was done for it: its end follows from what was heard. */
const isReplayed = ({ state, heard }: JournalCase): boolean =>
  heard !== null && (state === 'done' || state === 'failed');

function placesOf({ blobs }: Journal, { readNetwork }: ReplayRunOptions): Places {
  const kept: Places['blobs'] = {
    has: async (id) => blobs.has(id),
    get: async (id) => blobs.get(id) ?? gone(id),
    put: async (bytes) => sha256Hex(bytes) as BlobId,
  };
  return { blobs: kept, uploads: kept, readNetwork, reading: readHere };
}

function gone(id: string): never {
  throw new HildaError('JOURNAL_INVALID', `the journal lacks the model ${id}`);
}

interface Ran {
  readonly until: number;
  readonly found: readonly Difference[];
  readonly store: Store;
  readonly run: BenchmarkRunRecord;
}

async function compared(journal: Journal, { until, found, store, run }: Ran): Promise<Replayed> {
  const rows = await store.benchmarkCases(run.id);
  const taken = await store.measurementsById(rows.flatMap(({ measurementId }) => measurementId ?? []));
  let count = 0;
  let measurements = 0;
  for (const recorded of journal.cases) {
    const { number } = recorded;
    const where = `case ${number}`;
    const met = found.find((one) => one.where === where);
    if (!met && (number > until || !isReplayed(recorded))) continue;
    const row = rows[number] as BenchmarkCaseRecord;
    const difference =
      met ?? differenceOf(where, comparable(recorded, journal.measurements), comparable(row, taken));
    if (difference) return { difference, compared: count, measurements };
    if (row.measurementId !== null) measurements++;
    count++;
  }
  const figures =
    until >= journal.cases.length
      ? differenceOf(
          'the figures',
          figuresOf(journal.cases, journal.measurements, run),
          figuresOf(rows, taken, run),
        )
      : undefined;
  return { difference: figures ?? null, compared: count, measurements };
}

const comparable = (
  { network, place, repetition, asked, state, deviceId, measurementId, error }: Omit<JournalCase, 'heard'>,
  measurements: ReadonlyMap<string, object>,
) => ({
  network,
  place,
  repetition,
  asked,
  state,
  deviceId,
  error,
  measurement: measurementId === null ? null : contentOf(measurements.get(measurementId)),
});

/** What the run says, by the values of one side. */
function figuresOf(
  cases: readonly Omit<JournalCase, 'heard'>[],
  measurements: ReadonlyMap<string, object>,
  run: BenchmarkRunRecord,
): Json {
  const named = cases.map((one) => ({ ...one, run: run.id, jobId: null }));
  const series = seriesOf(named, measurements as ReadonlyMap<string, MeasurementRecord>);
  const { rows, limits, alternated } = reportOf({ run, series, figures: null }, null);
  const told = rows.map(({ network, place, figures }) => ({ network, place, figures }));
  return JSON.parse(JSON.stringify({ rows: told, limits, alternated })) as Json;
}

import { isImported } from '../benchmarks/imports/imported-run.js';
import { HildaError } from '../core/errors.js';
import type { BlobId, DeviceId } from '../core/ids.js';
import type { AttemptNote } from '../jobs/job.js';
import type { BlobStore } from '../store/contract.js';
import { type JournalCase, type JournalHeader, type JournalLine, journalFormat } from './contract.js';
import { devicesOf, type ExportParts, plain } from './export-study.js';
import { packJournal } from './write-journal.js';

export interface ExportRunParts extends ExportParts {
  /** Where models and inputs are: the first place that has one gives it. */
  readonly places: readonly BlobStore[];
}

/**
 * A run of a suite as a journal, with the models that it measured. Throws NOT_FOUND, also where a model is gone,
 * STATE_CONFLICT for a run that goes on, and JOURNAL_INCOMPLETE where cases ended under a version that did not keep what they heard.
 */
export async function exportRun(id: string, parts: ExportRunParts): Promise<Buffer> {
  const { store, version, nowMs } = parts;
  const run = await store.benchmarkRun(id);
  if (run.state === 'running')
    throw new HildaError('STATE_CONFLICT', `the run ${id} goes on`, {
      hint: 'Export it once it has ended.',
      details: { run: id },
    });
  if (isImported(run))
    throw new HildaError(
      'STATE_CONFLICT',
      `the run ${id} is imported: nothing was measured that could be replayed`,
      {
        details: { run: id },
      },
    );
  const heard = await store.benchmarkHeard(id);
  const cases = (await store.benchmarkCases(id)).map(
    ({ run: _, jobId: __, ...one }): JournalCase => ({
      ...one,
      heard: (heard[one.number] ?? null) as unknown as readonly AttemptNote[] | null,
    }),
  );
  const deaf = cases.find((one) => one.heard === null && (one.state === 'done' || one.state === 'failed'));
  if (deaf)
    throw new HildaError(
      'JOURNAL_INCOMPLETE',
      `case ${deaf.number} of the run ${id} ended under an earlier version, which kept no journal`,
      { details: { run: id, case: deaf.number } },
    );
  const header: JournalHeader = {
    hilda: 'journal',
    format: journalFormat,
    subject: 'benchmark',
    version,
    versions: [],
    node: process.version,
    exportedMs: nowMs,
    id,
    name: run.suite,
    spec: run.request as JournalHeader['spec'],
    state: run.state,
    reason: run.error?.message ?? null,
    createdMs: run.createdMs,
    end: null,
  };
  return packJournal(header, linesOf(cases, parts));
}

async function* linesOf(
  cases: readonly JournalCase[],
  { store, places }: ExportRunParts,
): AsyncGenerator<JournalLine> {
  const devices = new Set<DeviceId>();
  for (const one of cases) {
    if (one.deviceId) devices.add(one.deviceId);
    const ids = [one.measurementId, ...(one.heard ?? []).map(({ measurementId }) => measurementId)];
    const found = await store.measurementsById([...new Set(ids.flatMap((each) => each ?? []))]);
    for (const record of found.values()) {
      devices.add(record.deviceId);
      yield { line: 'measurement', measurement: plain(record) };
    }
    yield { line: 'case', case: one };
  }
  for (const device of await devicesOf(devices, store)) yield { line: 'device', device };
  for (const sha256 of new Set(cases.flatMap(({ asked }) => blobsOf(asked)))) {
    const bytes = await bytesOf(sha256, places);
    yield { line: 'blob', sha256, base64: Buffer.from(bytes).toString('base64') };
  }
}

/** The model of a case, and the files that its inputs are read from. */
function blobsOf(asked: unknown): string[] {
  const { model, inputs = {} } = asked as {
    readonly model: string;
    readonly inputs?: Readonly<Record<string, unknown>>;
  };
  const files = Object.values(inputs).flatMap((input) =>
    typeof input === 'object' && input !== null && 'blob' in input ? [String(input.blob)] : [],
  );
  return [model, ...files];
}

async function bytesOf(sha256: string, places: readonly BlobStore[]): Promise<Uint8Array> {
  for (const place of places) if (await place.has(sha256 as BlobId)) return place.get(sha256 as BlobId);
  throw new HildaError('NOT_FOUND', `the model ${sha256} of the run is gone`);
}

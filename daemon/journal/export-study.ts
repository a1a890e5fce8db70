import { HildaError } from '../core/errors.js';
import type { DeviceId, MeasurementId, StudyId } from '../core/ids.js';
import type { MeasurementRecord, Store, TrialRecord } from '../store/contract.js';
import { earlierStudies } from '../study/earlier-studies.js';
import type { Heard } from '../study/heard.js';
import { launchesOf } from '../study/launches.js';
import { parseStudySpec, type StudySpec } from '../study/spec.js';
import { type JournalDevice, type JournalHeader, type JournalLine, journalFormat } from './contract.js';
import { packJournal } from './write-journal.js';

export interface ExportParts {
  readonly store: Store;
  /** Of hilda. */
  readonly version: string;
  readonly nowMs: number;
}

/** Trials that are read at a time. */
const atOnce = 500;

/**
 * A study as a journal: all that its loop heard from outside, and what it made of it. Throws STUDY_UNKNOWN, and
 * JOURNAL_INCOMPLETE where trials ended under a version that did not keep what they heard.
 */
export async function exportStudy(id: StudyId, parts: ExportParts): Promise<Buffer> {
  const { store, version, nowMs } = parts;
  const study = await store.study(id);
  const spec = parseStudySpec(study.spec);
  const launches = await launchesOf(id, store);
  const trials = await store.trials(id);
  await requireHeard(id, trials, store);
  const header: JournalHeader = {
    hilda: 'journal',
    format: journalFormat,
    subject: 'study',
    version,
    versions: [...new Set(launches.flatMap((one) => one.version ?? []))],
    node: process.version,
    exportedMs: nowMs,
    id,
    name: study.name,
    spec: study.spec as JournalHeader['spec'],
    state: study.state,
    reason: study.reason,
    createdMs: study.createdMs,
    // What runs may have gone on since its trials were read.
    end:
      study.state === 'running'
        ? null
        : ({ sampler: study.sampler, rng: study.rng } as unknown as JournalHeader['end']),
  };
  return packJournal(header, linesOf(id, spec, trials, store));
}

async function* linesOf(
  id: StudyId,
  spec: StudySpec,
  trials: readonly TrialRecord[],
  store: Store,
): AsyncGenerator<JournalLine> {
  for (const launch of await launchesOf(id, store)) yield { line: 'launch', launch };
  for (const earlier of await earlierStudies(spec, store)) yield { line: 'earlier', earlier };
  const devices = new Set<DeviceId>(spec.devices as DeviceId[]);
  for (let from = 0; from < trials.length; from += atOnce) {
    const some = trials.slice(from, from + atOnce);
    const heard = await store.heard(
      id,
      some.map(({ number }) => number),
    );
    const told = some.map((trial) => ({
      trial,
      heard: trial.state === 'asked' ? [] : ((heard.get(trial.number) ?? []) as unknown as Heard[]),
    }));
    const ids = told.flatMap((one) => measurementsOf(one.trial, one.heard));
    for (const record of (await store.measurementsById(ids)).values()) {
      devices.add(record.deviceId);
      yield { line: 'measurement', measurement: plain(record) };
    }
    for (const { trial, heard } of told) {
      const { studyId: _, told: __, result: ___, ...rest } = trial;
      yield { line: 'trial', trial: { ...rest, heard } };
    }
  }
  for (const device of await devicesOf(devices, store)) yield { line: 'device', device };
}

function measurementsOf({ measurements }: TrialRecord, heard: readonly Heard[]): MeasurementId[] {
  const tried = heard.flatMap((one) =>
    one.kind === 'device' ? one.attempts.flatMap(({ measurementId }) => measurementId ?? []) : [],
  );
  return [...new Set([...Object.values(measurements), ...tried])];
}

/** Without its rounds, and without what the store says of it. */
export const plain = ({
  studyId: _,
  trialNumber: __,
  rounds: ___,
  ...measurement
}: MeasurementRecord): Omit<MeasurementRecord, 'studyId' | 'trialNumber' | 'rounds'> => measurement;

export const devicesOf = async (ids: ReadonlySet<DeviceId>, store: Store): Promise<JournalDevice[]> =>
  (await store.devices())
    .filter((one) => ids.has(one.id))
    .map(({ id, kind, label, target, host }) => ({ id, kind, label, target, host }));

async function requireHeard(id: StudyId, trials: readonly TrialRecord[], store: Store): Promise<void> {
  const ended = trials.filter(({ state }) => state !== 'asked').map(({ number }) => number);
  const heard = await store.heard(id, ended);
  const deaf = ended.filter((number) => heard.get(number) === null);
  if (deaf.length === 0) return;
  throw new HildaError(
    'JOURNAL_INCOMPLETE',
    `${deaf.length} trials of ${id} ended under an earlier version, which kept no journal; the first is ${deaf[0]}`,
    { details: { studyId: id, trials: deaf.slice(0, 20) } },
  );
}

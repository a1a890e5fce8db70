import { type Architecture, architectureId } from '../core/architecture.js';
import { HildaError } from '../core/errors.js';
import type { DeviceId, StudyId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import { Xoshiro128 } from '../core/rng.js';
import { Jobs } from '../jobs/jobs.js';
import { openPredictor, sourcesOf } from '../predictors/open-predictor.js';
import type { Store, StudyRecord, TrialRecord } from '../store/contract.js';
import { externalSampler, type ProposalInbox } from '../study/outside.js';
import { openSearchParts, type StoredPredictors } from '../study/parts.js';
import { type Extent, runStudy } from '../study/run-study.js';
import { samplerOf } from '../study/sampler-of.js';
import { parseStudySpec, type StudySpec } from '../study/spec.js';
import type { Journal, JournalTrial } from './contract.js';
import { type Difference, differenceOf } from './difference.js';
import { type Replayed, type ReplayOptions, replayStore, requireVersion } from './replay.js';
import { ReplayClock } from './replay-clock.js';
import { ReplayDevices } from './replay-devices.js';
import { ReplayTrials } from './replay-trials.js';

export interface ReplayStudyOptions extends ReplayOptions {
  /** The last trial that is worked on; those of its batch are asked all the same. */
  readonly until?: number;
}

/**
 * Runs a journal's study again without its devices and evaluator: sampler, predictors, jobs and store are the real ones, and
 * each row is held against the recorded one. The first difference ends it. Throws JOURNAL_MISMATCH, JOURNAL_INVALID, what
 * `openSearchParts` throws, NOT_FOUND for `until` beyond its trials, and the signal's reason.
 */
export async function replayStudy(journal: Journal, options: ReplayStudyOptions): Promise<Replayed> {
  const { header, trials } = journal;
  const { until = Number.POSITIVE_INFINITY, samplers, signal } = options;
  requireVersion(journal, options);
  if (options.until !== undefined && !trials[options.until])
    throw new HildaError('NOT_FOUND', `the journal holds ${trials.length} trials, and no trial ${until}`);
  const spec = parseStudySpec(header.spec);
  const sampler = samplerOf(spec, samplers);
  const isOutside = spec.sampler.name === externalSampler;
  let asked = 0;
  const priors = priorsOf(journal, () => asked, options);
  const parts = await openSearchParts(spec, options.profilesDir, priors, options.pure);
  requireSpace(parts.space.id, journal);

  const over = new AbortController();
  const found: Difference[] = [];
  const stop = (difference: Difference): void => {
    found.push(difference);
    over.abort(new HildaError('INTERRUPTED', 'the replay differs from what was recorded'));
  };
  const store = await replayStore(journal, options);
  const devices = new ReplayDevices(journal, stop);
  const jobs = new Jobs({ store, pool: devices, clock: options.clock, retryMs: 10, gatherMs: 0 });
  const ends = AbortSignal.any([signal, over.signal]);
  try {
    await jobs.start(ends);
    const study = await store.createStudy({
      name: header.name,
      spec: spec as unknown as Json,
      sampler: sampler.state(),
      rng: Xoshiro128.fromSeed(spec.seed).state(),
    });
    const heard = new ReplayTrials(journal, { jobs, devices, spaceId: parts.space.id });
    const watched = {
      ...store,
      askTrials: async (id: StudyId, proposals: Proposals, after: States) => {
        // What is predicted of proposals from outside depends on which results had come by then.
        const given = isOutside
          ? proposals.map((one, i) => ({ ...one, predicted: trials[asked + i]?.predicted ?? one.predicted }))
          : proposals;
        const rows = await store.askTrials(id, given, after);
        for (const row of rows) requireAsked(row, trials, stop);
        over.signal.throwIfAborted();
        asked += rows.length;
        return rows;
      },
    };
    const loop = {
      ...parts,
      spec: { ...spec, budget: { ...spec.budget, maxMinutes: undefined } } as StudySpec,
      study,
      sampler,
      store: watched,
      jobs: heard.jobs,
      pool: heard.pool,
      evaluator: heard.evaluator,
      clock: new ReplayClock(header.createdMs),
      earlier: journal.earlier,
      extent: extentOf(journal, until),
      ...(isOutside && { inbox: recordedProposals(trials) }),
    };
    await runStudy(loop, { signal: ends }).catch((thrown: unknown) => {
      if (!over.signal.aborted) throw thrown;
    });
    await store.setStudyState(study.id, 'stopped', `replayed from ${header.id}`);
    return await compared(journal, { until, found, store, study });
  } finally {
    await jobs.stop();
    await store.close();
  }
}

type Proposals = Parameters<Store['askTrials']>[1];
type States = Parameters<Store['askTrials']>[2];

function requireSpace(here: string, { trials }: Journal): void {
  const [first] = trials;
  if (!first || first.architectureId === architectureId(here, first.architecture)) return;
  throw new HildaError('JOURNAL_MISMATCH', `the journal's architectures are of another space than ${here}`, {
    details: { space: here, architectureId: first.architectureId },
  });
}

/** What was proposed is held against the journal at once: a trial of another network would be given answers that are not its own. */
function requireAsked(
  row: TrialRecord,
  trials: readonly JournalTrial[],
  stop: (difference: Difference) => void,
): void {
  const where = `trial ${row.number}`;
  const recorded = trials[row.number];
  const difference = recorded
    ? differenceOf(where, proposal(recorded), proposal(row))
    : { where, field: '', recorded: null, replayed: proposal(row) as unknown as Json };
  if (difference) stop(difference);
}

const proposal = ({ architectureId, architecture, note, predicted }: Omit<JournalTrial, 'heard'>) => ({
  architectureId,
  architecture,
  note,
  predicted,
});

function extentOf({ header, trials }: Journal, until: number): Extent {
  const { maxMinutes, trials: wanted } = parseStudySpec(header.spec).budget;
  // A study that ended before its budget, with no limit of time, had nothing left to ask: so has its replay.
  const isExhausted = header.state === 'completed' && trials.length < wanted && maxMinutes === undefined;
  return {
    asked: until < trials.length ? until + 1 : isExhausted ? Number.POSITIVE_INFINITY : trials.length,
    hasEnded: (number) => number <= until && (trials[number]?.state ?? 'asked') !== 'asked',
    wasCaughtUp: (number) =>
      until >= trials.length &&
      (trials[number]?.heard ?? []).some((one) => one.kind === 'device' && one.late),
  };
}

/** Proposals that came from outside come from the journal. */
function recordedProposals(trials: readonly JournalTrial[]): Pick<ProposalInbox, 'take'> {
  let next = 0;
  return {
    take: async (n) => {
      const some = trials.slice(next, next + n);
      next += some.length;
      return some.map(({ architecture, note }) => ({ architecture, note }));
    },
  };
}

/** Predictors as they were at the launch that the next trial belongs to. */
function priorsOf(
  { launches, devices }: Journal,
  asked: () => number,
  { pure }: ReplayOptions,
): StoredPredictors {
  return {
    prior: async (id, { deviceId }) => {
      const opened = launches.map(({ asked: from, predictors }) => {
        const record = predictors.find((one) => one.id === id);
        if (!record) throw new HildaError('JOURNAL_INVALID', `the journal lacks the predictor ${id}`);
        return { from, predictor: openPredictor(record, sourcesOf(record, predictors), pure) };
      });
      if (opened.length === 0) throw new HildaError('JOURNAL_INVALID', 'the journal names no launch');
      const target = devices.find((one) => one.id === (deviceId as DeviceId))?.target;
      return (architectures: readonly Architecture[]) => {
        const { predictor } =
          opened.findLast(({ from }) => from <= asked()) ?? (opened[0] as (typeof opened)[0]);
        return predictor.predict(architectures, target);
      };
    },
  };
}

interface Ran {
  readonly until: number;
  /** What was met on the way. */
  readonly found: readonly Difference[];
  readonly store: Store;
  readonly study: StudyRecord;
}

/** Row by row, in the order of trials: the first difference is the one that the others may follow from. */
async function compared(journal: Journal, { until, found, store, study }: Ran): Promise<Replayed> {
  const rows = await store.trials(study.id);
  const taken = await store.measurementsById(rows.flatMap(({ measurements }) => Object.values(measurements)));
  let measurements = 0;
  let count = 0;
  const answer = (difference: Difference | null): Replayed => ({
    difference,
    compared: count,
    measurements,
  });
  const metOf = (number: number): Difference | undefined =>
    found.find(({ where }) => where === `trial ${number}`);
  for (const recorded of journal.trials) {
    const { number } = recorded;
    const row = rows[number];
    const met = metOf(number);
    if (met) return answer(met);
    if (!row) {
      // Batches are asked whole: what is beyond the last one was not asked for.
      if (number > until || found.length > 0) break;
      return answer({
        where: `trial ${number}`,
        field: '',
        recorded: proposal(recorded) as Json,
        replayed: null,
      });
    }
    // Of a batch that a difference ended, some were only asked.
    const isOnlyAsked = number > until || (found.length > 0 && row.state === 'asked');
    const difference = differenceOf(
      `trial ${number}`,
      comparable(recorded, journal.measurements, isOnlyAsked),
      comparable(row, taken, isOnlyAsked),
    );
    if (difference) return answer(difference);
    measurements += isOnlyAsked ? 0 : Object.keys(row.measurements).length;
    count++;
  }
  const [first] = found;
  if (first) return answer(first);
  const isWhole =
    until >= journal.trials.length && journal.trials.length >= parseStudySpec(study.spec).budget.trials;
  const ended = journal.trials.every(({ state }) => state !== 'asked');
  if (!journal.header.end || !isWhole || !ended) return answer(null);
  const { sampler, rng } = await store.study(study.id);
  return answer(differenceOf('the end', journal.header.end, { sampler, rng }) ?? null);
}

/** What is the same in every run: measurements by what they hold, since their ids follow the order of arrival. */
function comparable(
  trial: Omit<JournalTrial, 'heard'>,
  measurements: ReadonlyMap<string, object>,
  isOnlyAsked: boolean,
) {
  if (isOnlyAsked) return proposal(trial);
  const { state, values, evidence, reason } = trial;
  const taken = Object.entries(trial.measurements).map(([device, id]) => [
    device,
    contentOf(measurements.get(id)),
  ]);
  return { ...proposal(trial), state, values, evidence, reason, measurements: Object.fromEntries(taken) };
}

export function contentOf(measurement: object | undefined): Json {
  if (!measurement) return null;
  const {
    id: _,
    rounds: __,
    studyId: ___,
    trialNumber: ____,
    ...content
  } = measurement as Record<string, Json>;
  return content;
}

import { architectureId } from '../core/architecture.js';
import type { Clock } from '../core/clock.js';
import type { DeviceId } from '../core/ids.js';
import { Xoshiro128 } from '../core/rng.js';
import type { Protocol } from '../measure/protocol.js';
import type { PredictorBank } from '../predict/bank.js';
import type { EarlierStudy, Sampler } from '../search/samplers/contract.js';
import type { StudyRecord, TrialRecord } from '../store/contract.js';
import { Absences } from './absences.js';
import { catchUp } from './catch-up.js';
import { ExactSamples } from './exactness.js';
import { fruitless } from './fruitless.js';
import { Haste } from './haste.js';
import type { ProposalInbox } from './outside.js';
import { searchOutside } from './search-outside.js';
import { toldTrial } from './told-trial.js';
import type { TrialContext } from './trial-context.js';
import { trialWork } from './trial-work.js';
import { refreshed, workThrough } from './work-through.js';

export interface StudyContext extends Omit<TrialContext, 'absences'> {
  readonly study: StudyRecord;
  readonly sampler: Sampler;
  readonly bank: PredictorBank;
  readonly clock: Clock;
  /** Finished studies that the sampler may learn from. */
  readonly earlier?: readonly EarlierStudy[];
  /** In place of the sampler's `ask`, where the proposals come from outside. */
  readonly inbox?: Pick<ProposalInbox, 'take'>;
  /** Told how many trials the sampler has heard of. */
  readonly onTold?: (count: number) => void;
  /** Takes the place of `protocol` once the time of the budget is short: see `Haste`. */
  readonly slowProtocol?: Protocol | undefined;
  /** Of a replay: how far the run came that is replayed. */
  readonly extent?: Extent;
}

/** How far a run came, by trial number. Beyond that nothing is asked, worked on, told or caught up. */
export interface Extent {
  /** Trials that were asked. */
  readonly asked: number;
  hasEnded(number: number): boolean;
  /** Whether a device was caught up with it. */
  wasCaughtUp(number: number): boolean;
}

/**
 * The one loop: ask, check, predict, measure, evaluate, tell; then devices that were away catch up. Returns when the budget
 * is spent or the space exhausted, with why where trials of the budget are left; throws what a trial could not digest, the signal's reason on abort, and what ended the
 * trials of a study that came to nothing (see `fruitless`).
 *
 * Reproducible for any order in which devices answer: a batch is asked only after every earlier trial was told,
 * tells go in trial order, and the sampler's and generator's states are stored with the trials they belong to. A
 * study killed at any moment therefore proposes, after `resume`, what the unbroken run would have proposed.
 */
export async function runStudy(
  context: StudyContext,
  { signal }: { readonly signal: AbortSignal },
): Promise<string | null> {
  const absences = absencesOf(context);
  const isOver = timeLimit(context);
  const trials = await search({ ...context, absences }, isOver, signal);
  const isOutOfTime = isOver();
  const { extent } = context;
  const late = extent ? trials.filter(({ number }) => extent.wasCaughtUp(number)) : trials;
  await catchUp({ ...context, absences }, { trials: late, isOver, signal });
  const { trials: wanted, maxMinutes } = context.spec.budget;
  if (trials.length >= wanted) return null;
  const some = `${trials.length} of ${wanted} trials`;
  return isOutOfTime
    ? `its ${maxMinutes} minutes were over after ${some}`
    : `nothing new was proposed after ${some}`;
}

/** What devices of a completed study missed is measured on those that are there now; nothing is asked. */
export async function catchUpStudy(
  context: StudyContext,
  { signal }: { readonly signal: AbortSignal },
): Promise<null> {
  const trials = await context.store.trials(context.study.id);
  const isOver = timeLimit(context);
  await catchUp({ ...context, absences: absencesOf(context) }, { trials, isOver, signal });
  return null;
}

const absencesOf = ({ spec, store, pool, clock }: StudyContext): Absences =>
  new Absences({
    devices: spec.devices as DeviceId[],
    holdMs: spec.holdMinutes * 60_000,
    store,
    pool,
    clock,
  });

/** Answers whether the time that the budget allows, from now, is up. */
function timeLimit({ spec: { budget }, clock }: StudyContext): () => boolean {
  const deadlineMs = clock.nowMs() + (budget.maxMinutes ?? Number.POSITIVE_INFINITY) * 60_000;
  return () => clock.nowMs() >= deadlineMs;
}

/** Answers with the study's trials. They are read once: nobody else asks, finishes or tells them. */
async function search(
  context: StudyContext & TrialContext,
  isOver: () => boolean,
  signal: AbortSignal,
): Promise<readonly TrialRecord[]> {
  const { study, spec, store, sampler, extent } = context;
  const rng = new Xoshiro128(study.rng);
  sampler.restore(study.sampler);
  const samples = new ExactSamples(spec, store);
  const trials = await store.trials(study.id);
  const since = trials.filter(({ state }) => state !== 'asked').length;
  if (context.inbox) {
    let asked = trials.length;
    return searchOutside(context, {
      isOver: () => isOver() || (extent !== undefined && asked >= extent.asked),
      signal,
      ask: async (n, known, both) => {
        const some = await askBatch(n, known, { ...context, samples }, rng, both);
        asked += some.length;
        return some;
      },
      ...(extent && { isWanted: (number) => extent.hasEnded(number) }),
      check: (known, isDone) => requireFruit(known, { study, spec, since, isOver: isDone, extent }),
    });
  }

  const haste = new Haste(context, since);
  for (;;) {
    signal.throwIfAborted();
    const open = trials.filter((t) => t.state === 'asked');
    await finishBatch(
      extent ? open.filter(({ number }) => extent.hasEnded(number)) : open,
      { ...context, protocol: haste.protocol },
      signal,
      (finished) => {
        trials[finished.number] = finished;
      },
    );
    if (extent && trials.some(({ state }) => state === 'asked')) return trials;
    const untold = trials.filter((t) => !t.told);
    if (untold.length > 0) {
      sampler.tell(untold.map((trial) => toldTrial(trial, spec)));
      await store.tellTrials(
        study.id,
        untold.map((t) => t.number),
        sampler.state(),
      );
      for (const trial of untold) trials[trial.number] = { ...trial, told: true };
      context.onTold?.(trials.length);
    }
    haste.look(trials.length);
    if (extent && trials.length >= extent.asked) return trials;
    const left = Math.min(spec.batch, spec.budget.trials - trials.length);
    const isDone = left <= 0 || isOver();
    requireFruit(trials, { study, spec, since, isOver: isDone, extent });
    if (isDone) return trials;
    const asked = await askBatch(left, trials, { ...context, samples }, rng, signal);
    if (asked.length === 0) {
      requireFruit(trials, { study, spec, since, isOver: true, extent });
      return trials;
    }
    trials.push(...asked);
  }
}

/**
 * Throws where the study is not worth going on with. Finals tell what their trials ended with in the matrix; a replay goes as far
 * as its study went.
 */
function requireFruit(
  trials: readonly TrialRecord[],
  {
    study,
    spec,
    extent,
    ...how
  }: Pick<StudyContext, 'study' | 'spec'> & {
    since: number;
    isOver: boolean;
    extent: Extent | undefined;
  },
): void {
  const isLeft = extent !== undefined || study.part?.role === 'finals';
  const fault = isLeft ? undefined : fruitless(trials, spec, how);
  if (fault) throw fault;
}

/** Refits the predictors on what is known, asks, and stores the proposals with the state that follows them. */
async function askBatch(
  n: number,
  trials: readonly TrialRecord[],
  context: StudyContext & { readonly samples: ExactSamples },
  rng: Xoshiro128,
  signal: AbortSignal,
): Promise<TrialRecord[]> {
  const { study, spec, space, store, sampler, bank, samples, inbox, earlier = [] } = context;
  // The predictors learn from what was measured alone.
  await samples.refit(bank, trials);
  const predict = bank.predict.bind(bank);
  const known = new Set(trials.map((t) => t.architectureId));
  const asked = inbox
    ? await inbox.take(n, { signal })
    : sampler.ask(n, {
        space,
        rng,
        objectives: spec.objectives,
        constraints: spec.constraints,
        history: trials.map((trial) => toldTrial(trial, spec)),
        pending: [],
        predict,
        budget: spec.budget.trials,
        earlier,
      });
  const proposals = asked
    .map((p) => ({ ...p, id: architectureId(space.id, p.architecture) }))
    .filter((p) => !known.has(p.id) && known.add(p.id));
  const metrics = [...new Set([...spec.objectives, ...spec.constraints].map((o) => o.metric))];
  const architectures = proposals.map((p) => p.architecture);
  const predictions = metrics.map((metric) => ({ metric, answers: predict(metric, architectures) }));
  return store.askTrials(
    study.id,
    proposals.map((p, i) => ({
      architectureId: p.id,
      architecture: p.architecture,
      note: p.note ?? '',
      predicted: Object.fromEntries(
        predictions.flatMap(({ metric, answers }) => (answers?.[i] ? [[metric, answers[i]]] : [])),
      ),
    })),
    { sampler: sampler.state(), rng: rng.state() },
  );
}

/** Runs the trials of a batch. Those held for a device that left are tried again until it is back or given up. */
async function finishBatch(
  batch: readonly TrialRecord[],
  context: StudyContext & TrialContext,
  signal: AbortSignal,
  onFinished: (trial: TrialRecord) => void,
): Promise<void> {
  const { store, absences, onStep } = context;
  const work = await trialWork(context, async (finished) => onFinished(finished));
  for (let held = await workThrough(batch, { ...context, signal, work }); held.length > 0; ) {
    onStep?.(`wait for ${absences.missing.join(', ')}`);
    await absences.wait({ signal });
    // With what was measured of them meanwhile.
    held = await workThrough(await refreshed(held, store), { ...context, signal, work });
  }
}

import { architectureId } from '../core/architecture.js';
import type { Clock } from '../core/clock.js';
import type { DeviceId } from '../core/ids.js';
import { Xoshiro128 } from '../core/rng.js';
import type { PredictorBank } from '../predict/bank.js';
import type { EarlierStudy, Sampler } from '../search/samplers/contract.js';
import type { StudyRecord, TrialRecord } from '../store/contract.js';
import { Absences } from './absences.js';
import type { ProposalInbox } from './outside.js';
import { toldTrial, toTrial } from './told-trial.js';
import { runTrial, type TrialContext } from './trial-runner.js';

export interface StudyContext extends Omit<TrialContext, 'absences'> {
  readonly study: StudyRecord;
  readonly sampler: Sampler;
  readonly bank: PredictorBank;
  readonly clock: Clock;
  /** Finished studies that the sampler may learn from. */
  readonly earlier?: readonly EarlierStudy[];
  /** In place of the sampler's `ask`, where the proposals come from outside. */
  readonly inbox?: ProposalInbox;
}

/**
 * The one loop: ask, check, predict, measure, evaluate, tell. Returns when the budget is spent or the space exhausted;
 * throws what a trial could not digest, and the signal's reason on abort.
 *
 * Reproducible whatever the order in which devices answer: a batch is asked only after every earlier trial was told,
 * tells go in trial order, and the sampler's and generator's states are stored with the trials they belong to. A
 * study killed at any moment therefore proposes, after `resume`, what the unbroken run would have proposed.
 */
export async function runStudy(
  context: StudyContext,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  const { study, spec, store, pool, sampler, clock } = context;
  const absences = new Absences({
    devices: spec.devices as DeviceId[],
    holdMs: spec.holdMinutes * 60_000,
    store,
    pool,
    clock,
  });
  const rng = new Xoshiro128(study.rng);
  sampler.restore(study.sampler);
  const deadlineMs =
    spec.budget.maxMinutes === undefined
      ? Number.POSITIVE_INFINITY
      : clock.nowMs() + spec.budget.maxMinutes * 60_000;
  let trials = await store.trials(study.id);

  for (;;) {
    signal.throwIfAborted();
    await finishBatch(
      trials.filter((t) => t.state === 'asked'),
      { ...context, absences },
      signal,
    );
    trials = await store.trials(study.id);
    const untold = trials.filter((t) => !t.told);
    if (untold.length > 0) {
      sampler.tell(untold.map((trial) => toldTrial(trial, spec)));
      await store.tellTrials(
        study.id,
        untold.map((t) => t.number),
        sampler.state(),
      );
      trials = await store.trials(study.id);
    }
    const left = Math.min(spec.batch, spec.budget.trials - trials.length);
    if (left <= 0 || clock.nowMs() >= deadlineMs) return;
    const asked = await askBatch(left, trials, context, rng, signal);
    if (asked.length === 0 && !context.inbox) return;
    trials = [...trials, ...asked];
  }
}

/** Refits the predictors on what is known, asks, and stores the proposals with the state that follows them. */
async function askBatch(
  n: number,
  trials: readonly TrialRecord[],
  context: StudyContext,
  rng: Xoshiro128,
  signal: AbortSignal,
): Promise<TrialRecord[]> {
  const { study, spec, space, store, sampler, bank, inbox, earlier = [] } = context;
  // The predictors learn from what was measured alone.
  bank.refit(trials.map(toTrial));
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

async function workersFor({ spec, store }: Pick<StudyContext, 'spec' | 'store'>): Promise<number> {
  const records = await Promise.all(spec.devices.map((id) => store.device(id as DeviceId)));
  return workersOf(records.map(({ host }) => host));
}

/**
 * How many trials run at a time: as many as there are devices to keep busy. Those of one host count as one: a board that
 * is emulated beside a network that is timed would void its times.
 */
export function workersOf(hosts: readonly (string | null)[]): number {
  const shared = hosts.filter((host) => host !== null);
  return hosts.length - shared.length + new Set(shared).size;
}

/** Runs the trials of a batch. Those held for a device that left are tried again until it is back or given up. */
async function finishBatch(
  batch: readonly TrialRecord[],
  context: StudyContext & TrialContext,
  signal: AbortSignal,
): Promise<void> {
  const { store, absences, onStep } = context;
  for (let held = await runTrials(batch, context, signal); held.length > 0; ) {
    onStep?.(`wait for ${absences.missing.join(', ')}`);
    await absences.wait({ signal });
    // With what was measured of them meanwhile.
    const waiting = new Set(held.map(({ number }) => number));
    const [first] = waiting;
    const fresh = await store.trials(context.study.id, { fromNumber: first as number });
    held = await runTrials(
      fresh.filter(({ number }) => waiting.has(number)),
      context,
      signal,
    );
  }
}

/** Answers with the trials that are held, by number. */
async function runTrials(
  batch: readonly TrialRecord[],
  context: StudyContext & TrialContext,
  signal: AbortSignal,
): Promise<TrialRecord[]> {
  const queue = [...batch];
  const held: TrialRecord[] = [];
  const stop = new AbortController();
  const both = AbortSignal.any([signal, stop.signal]);
  const worker = async (): Promise<void> => {
    for (let trial = queue.shift(); trial; trial = queue.shift()) {
      both.throwIfAborted();
      const finished = await runTrial(trial, context, { signal: both });
      if (finished) await context.store.finishTrial(finished);
      else held.push(trial);
    }
  };
  const workers = Array.from({ length: await workersFor(context) }, () => worker());
  try {
    await Promise.all(workers);
  } catch (error) {
    stop.abort(error);
    await Promise.allSettled(workers);
    throw error;
  }
  return held.sort((a, b) => a.number - b.number);
}

import type { Sampler } from '../search/samplers/contract.js';
import type { StudyRecord, TrialRecord } from '../store/contract.js';
import { Crew } from './crew.js';
import type { TrialContext } from './trial-context.js';
import { trialWork } from './trial-work.js';
import { lanesOf, refreshed } from './work-through.js';

export interface SearchOutsideContext extends TrialContext {
  readonly study: StudyRecord;
  readonly sampler: Pick<Sampler, 'state'>;
  readonly onTold?: (count: number) => void;
}

export interface SearchOutsideOptions {
  readonly isOver: () => boolean;
  readonly signal: AbortSignal;
  /** Takes up to n proposals as soon as there is one, and stores those that are new. */
  readonly ask: (n: number, trials: readonly TrialRecord[], signal: AbortSignal) => Promise<TrialRecord[]>;
  /** Throws where the study is not worth going on with. */
  readonly check: (trials: readonly TrialRecord[], isOver: boolean) => void;
  /** Which trials are worked on; all where it is left out. */
  readonly isWanted?: (number: number) => boolean;
}

/**
 * The loop of a study whose proposals come from outside. What was proposed does not depend on the order of results here, so
 * a proposal starts as soon as it is handed in, beside all that are under way. Trials are marked as told in their order.
 * Answers with all trials.
 */
export async function searchOutside(
  context: SearchOutsideContext,
  { isOver, signal, ask, check, isWanted = () => true }: SearchOutsideOptions,
): Promise<readonly TrialRecord[]> {
  const { study, spec, store, sampler, absences, onStep, onTold } = context;
  const trials = await store.trials(study.id);
  let told: Promise<void> = Promise.resolve();
  const tell = (): Promise<void> => {
    told = told.then(async () => {
      const open = trials.findIndex(({ state }) => state === 'asked');
      const due = trials.slice(0, open < 0 ? trials.length : open).filter((trial) => !trial.told);
      if (due.length === 0) return;
      const numbers = due.map(({ number }) => number);
      await store.tellTrials(study.id, numbers, sampler.state());
      for (const trial of due) trials[trial.number] = { ...trial, told: true };
      onTold?.((numbers.at(-1) as number) + 1);
      check(trials, false);
    });
    return told;
  };

  let isWaiting = false;
  const crew = new Crew({
    lanes: await lanesOf(spec, store),
    signal,
    work: await trialWork(context, async (finished) => {
      trials[finished.number] = finished;
      await tell();
    }),
    onHeld: () => {
      if (!isWaiting) crew.also(startHeld);
      isWaiting = true;
    },
  });
  /** Tries held trials again once a device is back or given up. */
  const startHeld = async (): Promise<void> => {
    onStep?.(`wait for ${absences.missing.join(', ')}`);
    await absences.wait({ signal: crew.signal });
    isWaiting = false;
    for (const trial of await refreshed(crew.takeHeld(), store)) crew.start(trial);
  };
  crew.also(async () => {
    await tell();
    const start = (trial: TrialRecord): void => {
      if (isWanted(trial.number)) crew.start(trial);
    };
    for (const trial of trials) if (trial.state === 'asked') start(trial);
    while (trials.length < spec.budget.trials && !isOver()) {
      const asked = await ask(spec.budget.trials - trials.length, trials, crew.signal);
      trials.push(...asked);
      for (const trial of asked) start(trial);
    }
  });
  await crew.ended();
  check(trials, true);
  return trials;
}

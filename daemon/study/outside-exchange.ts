import { architectureId } from '../core/architecture.js';
import type { Clock } from '../core/clock.js';
import { HildaError } from '../core/errors.js';
import type { StudyId } from '../core/ids.js';
import type { Proposal } from '../search/samplers/contract.js';
import type { Store, StudyState, TrialRecord } from '../store/contract.js';
import { OutsideEvaluator, type OutsideResult, type ProposalInbox } from './outside.js';
import type { StudyParts } from './parts.js';

/** What `ask` and `tell` answer. */
export interface Exchange {
  readonly state: StudyState;
  readonly trials: readonly TrialRecord[];
}

/** Between two looks at a study that somebody outside waits for. */
const pollMs = 50;

/** What a study that runs shares with those outside. */
interface RunningStudy {
  readonly parts: StudyParts;
  readonly inbox: ProposalInbox | undefined;
}

export interface OutsideExchangeOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** Undefined for a study that does not run here. */
  readonly running: (id: StudyId) => RunningStudy | undefined;
}

/** Asks and tells for samplers and evaluators that are programs of somebody else. */
export class OutsideExchange {
  readonly #options: OutsideExchangeOptions;

  constructor(options: OutsideExchangeOptions) {
    this.#options = options;
  }

  /**
   * For searches and evaluations outside the daemon, the sampler's contract over HTTP. With `proposals` (sampler
   * `external`): hands them to the loop and answers with their trials, known ones included, once they are stored.
   * Without: answers with up to n trials that wait for a result from outside (evaluator `external`), as soon as there is
   * one, or with none after `waitMs`. A study that no longer runs answers with its state and no trials.
   * Throws STATE_CONFLICT, ARCHITECTURE_INVALID.
   */
  async ask(
    id: StudyId,
    {
      n,
      proposals,
      waitMs,
    }: { readonly n: number; readonly proposals?: readonly Proposal[]; readonly waitMs: number },
    { signal }: { readonly signal: AbortSignal },
  ): Promise<Exchange> {
    // A study may end between two calls: its state is the answer, not an error.
    const running = this.#options.running(id);
    const { state } = await this.#options.store.study(id);
    if (!running || state !== 'running') return { state, trials: [] };
    const { space, evaluator } = running.parts;
    if (proposals) {
      if (!running.inbox)
        throw new HildaError('STATE_CONFLICT', `the study ${id} has a sampler of its own`, {
          hint: 'Proposals are for studies with `sampler: {name: external}`.',
        });
      const normal = proposals.map((p) => ({ ...p, architecture: space.normalise(p.architecture) }));
      const ids = new Set(normal.map((p) => architectureId(space.id, p.architecture)));
      const known = new Set((await this.#options.store.trials(id)).map((trial) => trial.architectureId));
      running.inbox.offer(normal.filter((p) => !known.has(architectureId(space.id, p.architecture))));
      return this.#until(id, waitMs, signal, (trials) => {
        const found = trials.filter((trial) => ids.has(trial.architectureId));
        return { trials: found, enough: found.length === ids.size };
      });
    }
    if (!(evaluator instanceof OutsideEvaluator))
      throw new HildaError('STATE_CONFLICT', `the study ${id} evaluates by itself`, {
        hint: 'Trials wait for outside results in studies with `evaluator: {kind: external}`.',
      });
    return this.#until(id, waitMs, signal, (trials) => {
      const found = trials
        .filter((t) => t.state === 'asked' && evaluator.waiting.has(t.architectureId))
        .slice(0, n);
      return { trials: found, enough: found.length > 0 };
    });
  }

  /**
   * With `results` (evaluator `external`): gives waiting trials their values. Then waits until the trials of `numbers`
   * (default: those of `results`) are finished, and answers with them; with those that are after `waitMs`.
   * Throws STATE_CONFLICT, NOT_FOUND, SPEC_INVALID.
   */
  async tell(
    id: StudyId,
    o: {
      readonly results: readonly ({ readonly number: number } & OutsideResult)[];
      readonly numbers: readonly number[];
      readonly waitMs: number;
    },
    { signal }: { readonly signal: AbortSignal },
  ): Promise<Exchange> {
    const trials = await this.#options.store.trials(id);
    if (o.results.length > 0) {
      const { evaluator } = (await this.#requireRunning(id)).parts;
      if (!(evaluator instanceof OutsideEvaluator))
        throw new HildaError('STATE_CONFLICT', `the study ${id} evaluates by itself`);
      for (const { number, ...result } of o.results) {
        const trial = trials[number];
        if (!trial) throw new HildaError('NOT_FOUND', `the study ${id} has no trial ${number}`);
        evaluator.answer(trial.architectureId, result);
      }
    }
    const wanted = new Set(o.numbers.length > 0 ? o.numbers : o.results.map(({ number }) => number));
    return this.#until(id, o.waitMs, signal, (all) => {
      const found = all.filter((trial) => wanted.has(trial.number) && trial.state !== 'asked');
      return { trials: found, enough: found.length === wanted.size };
    });
  }

  /** Looks at the trials until there is enough, the study no longer runs, or the time is up. */
  async #until(
    id: StudyId,
    waitMs: number,
    signal: AbortSignal,
    look: (trials: readonly TrialRecord[]) => {
      readonly trials: readonly TrialRecord[];
      readonly enough: boolean;
    },
  ): Promise<Exchange> {
    const { store, clock } = this.#options;
    const deadlineMs = clock.nowMs() + waitMs;
    for (;;) {
      const { state } = await store.study(id);
      const { trials, enough } = look(await store.trials(id));
      if (enough || state !== 'running' || clock.nowMs() >= deadlineMs) return { state, trials };
      await clock.sleep(pollMs, { signal });
    }
  }

  async #requireRunning(id: StudyId): Promise<RunningStudy> {
    const running = this.#options.running(id);
    if (running) return running;
    const { state } = await this.#options.store.study(id);
    throw new HildaError('STATE_CONFLICT', `the study ${id} is ${state}, not running`);
  }
}

import { architectureId } from '../core/architecture.js';
import type { Clock } from '../core/clock.js';
import { HildaError } from '../core/errors.js';
import type { ArchitectureId, StudyId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { Proposal } from '../search/samplers/contract.js';
import type { Store, StudyState, TrialFilter, TrialRecord, TrialStep } from '../store/contract.js';
import { noTrial } from '../store/one-trial.js';
import { checkResult, OutsideEvaluator, type OutsideResult, type ProposalInbox } from './outside.js';
import { outsideMetrics, type StudyParts } from './parts.js';
import { parseStudySpec } from './spec.js';

/** What `ask` and `tell` answer. */
export interface Exchange {
  readonly state: StudyState;
  readonly trials: readonly TrialRecord[];
}

export interface AskRequest {
  /** At most so many waiting trials. */
  readonly n: number;
  /** Waits for so many of them, default n. */
  readonly minimum?: number;
  /** Numbers of trials that the caller has already. */
  readonly except?: readonly number[];
  /** Who takes the trials: nobody else is given them for `holdMs`. */
  readonly holder?: string;
  readonly holdMs?: number;
  readonly proposals?: readonly Proposal[];
  readonly waitMs: number;
}

export interface TellRequest {
  readonly results: readonly { readonly number: number; readonly result: OutsideResult }[];
  /** Values on the way to results. */
  readonly steps: readonly (TrialStep & { readonly number: number })[];
  readonly numbers: readonly number[];
  /** Waits until so many of these have ended, default all. */
  readonly minimum?: number;
  readonly waitMs: number;
}

/** How long a holder keeps a trial without a word of it. */
const defaultHoldMs = 3_600_000;

/** Between two looks at whether there is news of a study that somebody outside waits for. */
const pollMs = 50;
/** After so long the trials are looked at without news. */
const staleMs = 1000;

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
   * Without: answers with up to n measured trials that wait for a result from outside (evaluator `external`), once
   * `minimum` of them do, once no other is being measured, or after `waitMs`. Left out are those of `except`, and those
   * that another holder was given less than `holdMs` ago. A study that no longer runs answers with its state and no trials.
   * Throws STATE_CONFLICT, ARCHITECTURE_INVALID.
   */
  async ask(
    id: StudyId,
    { proposals, ...request }: AskRequest,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<Exchange> {
    // A study may end between two calls: its state is the answer, not an error.
    const running = this.#options.running(id);
    const { state } = await this.#options.store.study(id);
    if (!running || state !== 'running') return { state, trials: [] };
    return proposals
      ? this.#propose(id, running, { ...request, proposals }, signal)
      : this.#waiting(id, running, request, signal);
  }

  async #propose(
    id: StudyId,
    { inbox, parts: { space } }: RunningStudy,
    { proposals, waitMs }: { readonly proposals: readonly Proposal[]; readonly waitMs: number },
    signal: AbortSignal,
  ): Promise<Exchange> {
    if (!inbox)
      throw new HildaError('STATE_CONFLICT', `the study ${id} has a sampler of its own`, {
        hint: 'Proposals are for studies with `sampler: {name: external}`.',
      });
    const normal = proposals.map((p) => ({ ...p, architecture: space.normalise(p.architecture) }));
    const ids = new Set(normal.map((p) => architectureId(space.id, p.architecture)));
    const ofThese = { architectureIds: [...ids] };
    const stored = await this.#options.store.trials(id, ofThese);
    const known = new Set(stored.map((trial) => trial.architectureId));
    inbox.offer(normal.filter((p) => !known.has(architectureId(space.id, p.architecture))));
    return this.#until(id, { waitMs, signal, filter: ofThese }, (found) => ({
      trials: found,
      enough: found.length === ids.size,
    }));
  }

  async #waiting(
    id: StudyId,
    { parts: { evaluator } }: RunningStudy,
    { n, minimum = n, except = [], holder, holdMs = defaultHoldMs, waitMs }: Omit<AskRequest, 'proposals'>,
    signal: AbortSignal,
  ): Promise<Exchange> {
    if (!(evaluator instanceof OutsideEvaluator)) throw notOutside(id);
    const { clock } = this.#options;
    const known = new Set(except);
    const filter = { states: ['asked'] } as const;
    const answer = await this.#until(id, { waitMs, signal, filter, evaluator }, (trials) => {
      const open = trials.filter(({ result }) => result === null);
      const waiting = open.filter((t) => evaluator.waiting.has(t.architectureId));
      const found = waiting
        .filter((t) => !known.has(t.number) && evaluator.isFree(t.architectureId, holder, clock.nowMs()))
        .slice(0, n);
      const isLast = found.length > 0 && waiting.length === open.length;
      return { trials: found, enough: isLast || found.length >= Math.min(n, minimum) };
    });
    if (holder !== undefined)
      for (const { architectureId: one } of answer.trials)
        evaluator.claim(one, { holder, holdMs, nowMs: clock.nowMs() });
    return answer;
  }

  /**
   * With `results` and `steps` (evaluator `external`): gives trials their values, all or nothing; what is known and equal
   * may be told again, at any time. Then waits until the trials of `numbers` (default: those of `results`) are finished,
   * and answers with them; with those that are after `waitMs`.
   * Throws RESULT_CONFLICT, STATE_CONFLICT, NOT_FOUND, SPEC_INVALID.
   */
  async tell(
    id: StudyId,
    { results, steps, numbers, minimum, waitMs }: TellRequest,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<Exchange> {
    const { store, clock, running } = this.#options;
    if (results.length > 0 || steps.length > 0) {
      const metrics = outsideMetrics(parseStudySpec((await store.study(id)).spec));
      if (!metrics) throw notOutside(id);
      for (const { result } of results) checkResult(result, metrics);
      await store.tellOutside(id, {
        results: results.map(({ number, result }) => ({ number, result: result as unknown as Json })),
        steps,
      });
    }
    const wanted = new Set(numbers.length > 0 ? numbers : results.map(({ number }) => number));
    const named = [...wanted, ...[...results, ...steps].map(({ number }) => number)];
    const trials = new Map(
      (await store.trials(id, { numbers: named })).map((trial) => [trial.number, trial]),
    );
    const evaluator = running(id)?.parts.evaluator;
    if (evaluator instanceof OutsideEvaluator) {
      const idOf = (number: number): ArchitectureId => (trials.get(number) as TrialRecord).architectureId;
      for (const { number } of steps) evaluator.renew(idOf(number), clock.nowMs());
      for (const { number, result } of results) evaluator.answer(idOf(number), result);
    }
    for (const number of wanted) if (!trials.has(number)) throw noTrial(id, number);
    const filter = { numbers: [...wanted] };
    return this.#until(id, { waitMs, signal, filter }, (all) => {
      const found = all.filter((trial) => trial.state !== 'asked');
      return { trials: found, enough: found.length >= Math.min(wanted.size, minimum ?? wanted.size) };
    });
  }

  /**
   * Looks at the trials of the filter until there is enough, the study no longer runs, or the time is up: when the store
   * or the evaluator have news, and once a second, since claims of trials run out.
   */
  async #until(
    id: StudyId,
    { waitMs, signal, filter, evaluator }: Waiting,
    look: (trials: readonly TrialRecord[]) => {
      readonly trials: readonly TrialRecord[];
      readonly enough: boolean;
    },
  ): Promise<Exchange> {
    const { store, clock } = this.#options;
    const deadlineMs = clock.nowMs() + waitMs;
    let commits = 0;
    const unlisten = store.onEvents(() => {
      commits++;
    });
    const news = (): string => `${commits} ${evaluator?.changes ?? 0}`;
    try {
      for (let heard = '', lookedMs = 0; ; ) {
        const nowMs = clock.nowMs();
        if (news() !== heard || nowMs - lookedMs >= staleMs || nowMs >= deadlineMs) {
          heard = news();
          lookedMs = nowMs;
          const { state } = await store.study(id);
          const { trials, enough } = look(await store.trials(id, filter));
          if (enough || state !== 'running' || nowMs >= deadlineMs) return { state, trials };
        }
        await clock.sleep(pollMs, { signal });
      }
    } finally {
      unlisten();
    }
  }
}

/** How long somebody waits, and for which trials. */
interface Waiting {
  readonly waitMs: number;
  readonly signal: AbortSignal;
  readonly filter: TrialFilter;
  /** Whose waiting trials count. */
  readonly evaluator?: OutsideEvaluator;
}

const notOutside = (id: StudyId): HildaError =>
  new HildaError('STATE_CONFLICT', `the study ${id} evaluates by itself`, {
    hint: 'Trials wait for outside results in studies with `evaluator: {kind: external}`.',
  });

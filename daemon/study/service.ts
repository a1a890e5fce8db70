import type { Clock } from '../core/clock.js';
import { asHildaError, HildaError } from '../core/errors.js';
import type { StudyId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import { Xoshiro128 } from '../core/rng.js';
import type { DevicePool } from '../fleet/device-pool.js';
import type { Jobs } from '../jobs/jobs.js';
import type { Sampler } from '../search/samplers/contract.js';
import { createSampler } from '../search/samplers/registry.js';
import { type Decision, decisionsOf } from '../search/spaces/parts/decisions.js';
import { loadSpace } from '../search/spaces/registry.js';
import {
  type Store,
  type StudyPart,
  type StudyRecord,
  type StudyState,
  type TrialFilter,
  type TrialPage,
  type TrialRecord,
  trialStates,
} from '../store/contract.js';
import { oneTrial } from '../store/one-trial.js';
import type { Beside } from './beside.js';
import { checkMetrics } from './check-metrics.js';
import { type DeviceCoverage, lacking } from './coverage.js';
import { earlierStudies, learnersOf, resolveTransfer } from './earlier-studies.js';
import { type ExportedTrial, exportTrial } from './export.js';
import { compareTrials, type Fronts, frontMembers, frontsOf } from './front-rows.js';
import { KeptFronts } from './kept-fronts.js';
import { LateStates } from './late-states.js';
import { externalSampler, OutsideEvaluator, type OutsideResult, ProposalInbox } from './outside.js';
import { type Exchange, OutsideExchange } from './outside-exchange.js';
import {
  openStudyParts,
  resolveDevices,
  resolveSpace,
  type StoredPredictors,
  type StudyParts,
} from './parts.js';
import { catchUpStudy, runStudy } from './run-study.js';
import { parseStudySpec, type StudySpec } from './spec.js';
import { Standings } from './standings.js';
import { timeLeft } from './time-left.js';
import { devicesOf } from './work-through.js';

export interface StudySummary {
  readonly record: StudyRecord;
  readonly budgetTrials: number;
  readonly told: number;
  readonly asked: number;
  readonly complete: number;
  readonly infeasible: number;
  readonly failed: number;
  readonly frontSize: number;
  /** Share of the box between reference and ideal point, 0 to 1; see `Standing.hypervolume`. */
  readonly hypervolume: number;
  /** One entry a device of the study, in its order. */
  readonly devices: readonly DeviceCoverage[];
  /** Time left at the pace so far and within its budget; null before the first trial, after the last, and when not running. */
  readonly etaMs: number | null;
  /** Trials that will have ended then: fewer than the budget's where its time is up before. Null where `etaMs` is. */
  readonly expectedTrials: number | null;
}

export interface StudyDecisions {
  readonly spaceId: string;
  /** Null where the space has no fixed list of them. */
  readonly decisions: readonly Decision[] | null;
}

export interface StudyServiceOptions {
  readonly store: Store;
  readonly pool: Pick<DevicePool, 'presence' | 'discover'>;
  readonly jobs: Pick<Jobs, 'run'>;
  readonly clock: Clock;
  /** The folder that holds spaces/, protocols/, supernets/ and datasets/. */
  readonly profilesDir: string;
  /** For studies that start from what is known of their devices. */
  readonly predictors?: StoredPredictors;
  readonly onError?: (error: HildaError, study: StudyId) => void;
}

interface Running {
  readonly abort: AbortController;
  readonly done: Promise<void>;
  readonly startedMs: number;
  readonly toldAtStart: number;
  readonly parts: StudyParts;
  readonly inbox: ProposalInbox | undefined;
}

/** Starts, stops and answers for studies; each runs on its own until it ends, pauses or fails. */
export class StudyService {
  readonly #options: StudyServiceOptions;
  readonly #running = new Map<StudyId, Running>();
  /** Between the word to resume them and their run. */
  readonly #resuming = new Set<StudyId>();
  readonly #exchange: OutsideExchange;
  readonly #late: LateStates;
  readonly #standings: Standings;
  readonly #fronts = new KeptFronts();

  constructor(options: StudyServiceOptions) {
    this.#options = options;
    const { store, clock, onError } = options;
    this.#standings = new Standings(store);
    this.#late = new LateStates({ store, clock, onError });
    this.#exchange = new OutsideExchange({ store, clock, running: (id) => this.#running.get(id) });
  }

  /** Studies that a killed daemon left running become paused: `resume` goes on where they stood. */
  async start(): Promise<void> {
    for (const study of await this.#options.store.studies()) {
      if (study.state === 'running')
        await this.#options.store.setStudyState(study.id, 'paused', 'the daemon stopped while it ran');
    }
  }

  async stop(): Promise<void> {
    await Promise.allSettled(
      [...this.#running.keys()].map((id) => this.#halt(id, 'paused', 'the daemon was stopped')),
    );
    await this.#late.close();
  }

  /**
   * Validates, stores and starts a study. Everything that can be refused is refused here, before the first trial. One that is
   * `part` of a specialisation is stored as that in the same write.
   */
  async create(specification: unknown, { part }: { readonly part?: StudyPart } = {}): Promise<StudyRecord> {
    const { store, profilesDir } = this.#options;
    const resolved = await resolveDevices(resolveSpace(parseStudySpec(specification), profilesDir), store);
    const spec = await resolveTransfer(
      resolved,
      store,
      (id) => this.#running.has(id) || this.#resuming.has(id),
    );
    if (spec.predictors.length > 0 && !this.#options.predictors)
      throw new HildaError('SPEC_INVALID', 'predictors: none are kept here', {
        details: { fields: ['predictors'] },
      });
    const sampler = samplerOf(spec);
    const parts = await openStudyParts(spec, profilesDir, this.#options.predictors);
    try {
      checkMetrics(spec, parts.evaluator, await devicesOf(spec, store));
      const unmet = sampler.needs.filter(
        (need) => (need === 'dims' && !parts.space.dims) || (need === 'crossover' && !parts.space.crossover),
      );
      if (unmet.length > 0)
        throw new HildaError(
          'SPEC_INVALID',
          `the sampler ${sampler.name} needs ${unmet.join(', ')}, which the space ${parts.space.id} lacks`,
        );
      const study = await store.createStudy({
        name: spec.name,
        spec: spec as unknown as Json,
        sampler: sampler.state(),
        rng: Xoshiro128.fromSeed(spec.seed).state(),
        part,
      });
      return await this.#launch(study, spec, parts).catch(async (error: unknown) => {
        // It is there, and does not run: `resume` takes it up again.
        await this.#late.write(study.id, { state: 'failed', reason: asHildaError(error).message });
        throw error;
      });
    } catch (error) {
      await parts.evaluator.close();
      throw error;
    }
  }

  async list(): Promise<StudyRecord[]> {
    return (await this.#options.store.studies()).map((record) => this.#late.known(record));
  }

  /** As far as it is known: its row may lag behind. */
  async #record(id: StudyId): Promise<StudyRecord> {
    return this.#late.known(await this.#options.store.study(id));
  }

  async show(id: StudyId): Promise<StudySummary> {
    const { clock } = this.#options;
    const record = await this.#record(id);
    const spec = storedSpec(record);
    const standing = await this.#standings.of(id, spec);
    const [asked, complete, infeasible, failed] = trialStates.map((state) => standing.count(state)) as [
      number,
      number,
      number,
      number,
    ];
    const finished = complete + infeasible + failed;
    const running = this.#running.get(id);
    const { etaMs, reached } = running
      ? timeLeft({
          nowMs: clock.nowMs(),
          startedMs: running.startedMs,
          ended: finished - running.toldAtStart,
          left: Math.max(0, spec.budget.trials - finished),
          maxMinutes: spec.budget.maxMinutes,
        })
      : { etaMs: null, reached: null };
    return {
      record,
      budgetTrials: spec.budget.trials,
      told: standing.told,
      asked,
      complete,
      infeasible,
      failed,
      frontSize: standing.frontSize,
      hypervolume: standing.hypervolume,
      devices: standing.coverage,
      etaMs,
      expectedTrials: reached === null ? null : finished + reached,
    };
  }

  trials(id: StudyId, filter?: TrialFilter & TrialPage): Promise<TrialRecord[]> {
    return this.#options.store.trials(id, filter);
  }

  async fronts(id: StudyId): Promise<Fronts> {
    const { store } = this.#options;
    const spec = storedSpec(await store.study(id));
    const members = await frontMembers(id, await this.#standings.of(id, spec), store);
    return this.#fronts.of(id, members, () =>
      frontsOf(members, { spec, space: loadSpace(spec.space), store }),
    );
  }

  async decisions(id: StudyId): Promise<StudyDecisions> {
    const space = loadSpace(storedSpec(await this.#options.store.study(id)).space);
    return { spaceId: space.id, decisions: decisionsOf(space) ?? null };
  }

  /** A trial of the study beside another one. Throws NOT_FOUND. */
  async compare(id: StudyId, numbers: readonly [number, number]): Promise<Beside[]> {
    const { store } = this.#options;
    const spec = storedSpec(await store.study(id));
    const [a, b] = await Promise.all(numbers.map((number) => oneTrial(id, number, store)));
    return compareTrials([a as TrialRecord, b as TrialRecord], { spec, store });
  }

  pause(id: StudyId): Promise<StudyRecord> {
    return this.#halt(id, 'paused', 'paused by the user');
  }

  /** For good: a stopped study keeps its trials and front, and cannot be resumed. */
  stopStudy(id: StudyId): Promise<StudyRecord> {
    return this.#halt(id, 'stopped', 'stopped by the user');
  }

  /**
   * Goes on with a paused or failed study. A completed one that a device was away from stays completed and asks no more;
   * what the device missed is measured. Throws STATE_CONFLICT where nothing is to be done, and as long as a study that
   * learns from a completed one is not at its end.
   */
  async resume(id: StudyId): Promise<StudyRecord> {
    if (this.#resuming.has(id)) throw new HildaError('STATE_CONFLICT', `the study ${id} is being resumed`);
    this.#resuming.add(id);
    try {
      return await this.#resume(id);
    } finally {
      this.#resuming.delete(id);
    }
  }

  async #resume(id: StudyId): Promise<StudyRecord> {
    const { store, profilesDir } = this.#options;
    const study = await this.#record(id);
    const spec = storedSpec(study);
    const lacks = study.state === 'completed' && (await this.#lacking(id, spec)) !== null;
    const runs = this.#running.has(id);
    // What its row says is not what counts: a study whose end could not be written runs no more.
    const rests =
      study.state === 'paused' || study.state === 'failed' || (study.state === 'running' && !runs);
    if (runs || !(rests || lacks)) {
      throw new HildaError('STATE_CONFLICT', `the study ${id} is ${study.state}`, {
        hint: 'Only paused and failed studies can be resumed, and completed ones that lack measurements.',
      });
    }
    const learners = lacks ? await learnersOf(id, store) : [];
    if (learners.length > 0)
      throw new HildaError(
        'STATE_CONFLICT',
        `what ${id} says must not change: ${learners.join(', ')} learns from it`,
        {
          hint: 'Let it end, or stop it.',
        },
      );
    return this.#launch(study, spec, await openStudyParts(spec, profilesDir, this.#options.predictors));
  }

  async exportTrial(id: StudyId, trialNumber: number): Promise<ExportedTrial> {
    const { store, profilesDir } = this.#options;
    return exportTrial(await store.study(id), trialNumber, store, profilesDir);
  }

  /** See `OutsideExchange`. */
  ask(...given: Parameters<OutsideExchange['ask']>): Promise<Exchange> {
    return this.#exchange.ask(...given);
  }

  /** See `OutsideExchange`. */
  tell(...given: Parameters<OutsideExchange['tell']>): Promise<Exchange> {
    return this.#exchange.tell(...given);
  }

  /** Resolves when the study is no longer running here. */
  async settled(id: StudyId): Promise<void> {
    await this.#running.get(id)?.done;
  }

  async #lacking(id: StudyId, spec: StudySpec): Promise<string | null> {
    return lacking((await this.#standings.of(id, spec)).coverage);
  }

  async #launch(study: StudyRecord, spec: StudySpec, parts: StudyParts): Promise<StudyRecord> {
    const { store, pool, jobs, clock, onError } = this.#options;
    const isSearched = study.state === 'completed';
    this.#late.forget(study.id);
    const record = isSearched ? study : await store.setStudyState(study.id, 'running');
    const abort = new AbortController();
    const sampler = samplerOf(spec);
    const inbox = spec.sampler.name === externalSampler && !isSearched ? new ProposalInbox() : undefined;
    const earlier = await earlierStudies(spec, store);
    if (parts.evaluator instanceof OutsideEvaluator)
      parts.evaluator.recallBy(async (architecture) => {
        const [trial] = await store.trials(study.id, { architectureId: architecture, limit: 1 });
        return (trial?.result ?? null) as OutsideResult | null;
      });
    const standing = await this.#standings.of(study.id, spec);
    const toldAtStart = standing.trials - standing.count('asked');
    const onStep = (step: string): void => {
      void store.publish(`study.${study.id}`, { type: 'step', step }).catch(() => {});
    };
    const done = (isSearched ? catchUpStudy : runStudy)(
      { ...parts, spec, study, sampler, store, pool, jobs, clock, onStep, earlier, ...(inbox && { inbox }) },
      { signal: abort.signal },
    )
      .then(async (early) =>
        this.#late.write(study.id, {
          state: 'completed',
          reason: (await this.#lacking(study.id, spec)) ?? early,
        }),
      )
      .catch(async (thrown: unknown) => {
        if (abort.signal.aborted) return;
        const error = asHildaError(thrown);
        onError?.(error, study.id);
        await this.#late.write(study.id, {
          state: isSearched ? 'completed' : 'failed',
          reason: `${error.code}: ${error.message}`,
        });
      })
      .then(async () => {
        this.#running.delete(study.id);
        await parts.evaluator.close();
      });
    this.#running.set(study.id, { abort, done, startedMs: clock.nowMs(), toldAtStart, parts, inbox });
    return record;
  }

  async #halt(
    id: StudyId,
    state: Extract<StudyState, 'paused' | 'stopped'>,
    reason: string,
  ): Promise<StudyRecord> {
    const { store } = this.#options;
    const running = this.#running.get(id);
    const before = await this.#record(id);
    if (running) {
      running.abort.abort(new HildaError('INTERRUPTED', reason));
      await running.done;
      // It was caught up, and may be so again.
      if (before.state === 'completed') return before;
    }
    const study = await this.#record(id);
    if (
      study.state === 'completed' ||
      study.state === 'stopped' ||
      (study.state !== 'running' && state === 'paused')
    ) {
      throw new HildaError('STATE_CONFLICT', `the study ${id} is ${study.state}`);
    }
    this.#late.forget(id);
    return store.setStudyState(id, state, reason);
  }
}

const storedSpec = (record: StudyRecord): StudySpec => parseStudySpec(record.spec);

/** A sampler that proposes nothing stands in for one outside: the loop reads the inbox instead. */
function samplerOf({ sampler: { name, options } }: StudySpec): Sampler {
  if (name !== externalSampler) return createSampler(name, options);
  return { name, needs: [], ask: () => [], tell: () => {}, state: () => null, restore: () => {} };
}

import type { Clock } from '../core/clock.js';
import { asHildaError, HildaError } from '../core/errors.js';
import type { StudyId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import { Xoshiro128 } from '../core/rng.js';
import type { DevicePool } from '../fleet/device-pool.js';
import type { Jobs } from '../jobs/jobs.js';
import type { OwnedEvaluator } from '../plugins/contract.js';
import type { PureParts } from '../plugins/pure-parts.js';
import type { DataReading } from '../reading/contract.js';
import type { SamplerPlugin } from '../search/samplers/plugin.js';
import type {
  Store,
  StudyPart,
  StudyRecord,
  StudyState,
  TrialFilter,
  TrialPage,
  TrialRecord,
} from '../store/contract.js';
import type { Beside } from './beside.js';
import { checkMetrics } from './check-metrics.js';
import { earlierStudies, learnersOf, resolveTransfer } from './earlier-studies.js';
import { type ExportedTrial, exportTrial } from './export.js';
import type { Fronts } from './front-rows.js';
import { LateStates } from './late-states.js';
import { noteLaunch } from './launches.js';
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
import { samplerOf } from './sampler-of.js';
import { parseStudySpec, type StudySpec } from './spec.js';
import { StudyAnswers, type StudyDecisions, type StudySummary, storedSpec } from './study-answers.js';
import { whileBusy } from './while-busy.js';
import { devicesOf } from './work-through.js';

export interface StudyServiceOptions {
  readonly store: Store;
  readonly pool: Pick<DevicePool, 'presence' | 'discover'>;
  readonly jobs: Pick<Jobs, 'run'>;
  readonly clock: Clock;
  /** The folder that holds spaces/, protocols/, supernets/ and datasets/. */
  readonly profilesDir: string;
  /** For studies that start from what is known of their devices. */
  readonly predictors?: StoredPredictors;
  /** Decodes the files that evaluators name; this process by default. */
  readonly reading?: DataReading;
  /** Samplers beside those of hilda: of plug-ins. */
  readonly samplers?: readonly SamplerPlugin[];
  /** Evaluators of plug-ins. */
  readonly evaluators?: readonly OwnedEvaluator[];
  /** Spaces and models of plug-ins. */
  readonly pure?: PureParts;
  readonly onError?: (error: HildaError, study: StudyId) => void;
  /** Of hilda, for the record of what a study ran with. */
  readonly version?: string;
}

/** Trials told between two sums of how a running study stands. */
const trialsBetweenSums = 2048;

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
  readonly #answers: StudyAnswers;

  constructor(options: StudyServiceOptions) {
    this.#options = options;
    const { store, clock, onError } = options;
    this.#late = new LateStates({ store, clock, onError });
    this.#answers = new StudyAnswers({
      store,
      clock,
      late: this.#late,
      running: (id) => this.#running.get(id),
      spaces: options.pure?.spaces ?? [],
    });
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
    const sampler = samplerOf(spec, this.#options.samplers);
    const parts = await this.#open(spec);
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

  list(): Promise<StudyRecord[]> {
    return this.#answers.list();
  }

  show(id: StudyId): Promise<StudySummary> {
    return this.#answers.show(id);
  }

  fronts(id: StudyId): Promise<Fronts> {
    return this.#answers.fronts(id);
  }

  decisions(id: StudyId): Promise<StudyDecisions> {
    return this.#answers.decisions(id);
  }

  /** See `StudyAnswers`. */
  compare(...given: Parameters<StudyAnswers['compare']>): Promise<Beside[]> {
    return this.#answers.compare(...given);
  }

  trials(id: StudyId, filter?: TrialFilter & TrialPage): Promise<TrialRecord[]> {
    return this.#options.store.trials(id, filter);
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
    const { store } = this.#options;
    const study = await this.#answers.record(id);
    const spec = storedSpec(study);
    const lacks = study.state === 'completed' && (await this.#answers.lacking(id, spec)) !== null;
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
    return this.#launch(study, spec, await this.#open(spec));
  }

  #open(spec: StudySpec): Promise<StudyParts> {
    const { profilesDir, predictors, evaluators, reading, pure } = this.#options;
    return openStudyParts(spec, profilesDir, predictors, evaluators, reading, pure);
  }

  async exportTrial(id: StudyId, trialNumber: number): Promise<ExportedTrial> {
    const { store, profilesDir, evaluators, pure } = this.#options;
    return exportTrial(await store.study(id), trialNumber, { store, profilesDir, evaluators, pure });
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

  async #launch(study: StudyRecord, spec: StudySpec, parts: StudyParts): Promise<StudyRecord> {
    const { store, pool, jobs, clock, samplers, onError } = this.#options;
    const isSearched = study.state === 'completed';
    this.#late.forget(study.id);
    const record = isSearched ? study : await store.setStudyState(study.id, 'running');
    const abort = new AbortController();
    const inbox = spec.sampler.name === externalSampler && !isSearched ? new ProposalInbox() : undefined;
    const earlier = await earlierStudies(spec, store);
    if (parts.evaluator instanceof OutsideEvaluator)
      parts.evaluator.recallBy(async (architecture) => {
        const [trial] = await store.trials(study.id, { architectureId: architecture, limit: 1 });
        return (trial?.result ?? null) as OutsideResult | null;
      });
    await noteLaunch(study.id, spec, { store, clock, version: this.#options.version ?? null });
    const standing = await this.#answers.standing(study.id, spec);
    const toldAtStart = standing.trials - standing.count('asked');
    const onStep = (step: string): void => {
      void store.publish(`study.${study.id}`, { type: 'step', step }).catch(() => {});
    };
    let summedUp = toldAtStart;
    // Summed up now and then, a large study has nothing to add up when somebody asks, or after a restart.
    const onTold = (count: number): void => {
      if (count < summedUp + trialsBetweenSums) return;
      summedUp = count;
      void this.#answers.standing(study.id, spec).catch(() => {});
    };
    const given = {
      ...parts,
      spec,
      store,
      pool,
      jobs,
      clock,
      onStep,
      onTold,
      earlier,
      ...(inbox && { inbox }),
    };
    const { signal } = abort;
    const run = async (): Promise<string | null> => {
      // Each time from what is stored: what was told before the store failed is told again.
      const context = { ...given, study: await store.study(study.id), sampler: samplerOf(spec, samplers) };
      return (isSearched ? catchUpStudy : runStudy)(context, { signal });
    };
    const onBusy = (error: HildaError): void => onError?.(error, study.id);
    const done = whileBusy(run, { clock, signal, onBusy })
      .then(async (early) =>
        this.#late.write(study.id, {
          state: 'completed',
          reason: (await this.#answers.lacking(study.id, spec)) ?? early,
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
    const before = await this.#answers.record(id);
    if (running) {
      running.abort.abort(new HildaError('INTERRUPTED', reason));
      await running.done;
      // It was caught up, and may be so again.
      if (before.state === 'completed') return before;
    }
    const study = await this.#answers.record(id);
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

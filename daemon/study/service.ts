import type { Clock } from '../core/clock.js';
import { asHildaError, HildaError } from '../core/errors.js';
import type { StudyId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import { Xoshiro128 } from '../core/rng.js';
import type { DevicePool } from '../fleet/device-pool.js';
import { createSampler } from '../search/samplers/registry.js';
import type { Store, StudyRecord, StudyState, TrialRecord } from '../store/contract.js';
import { type ExportedTrial, exportTrial } from './export.js';
import { type FrontRow, frontRows, frontTrials, hypervolumeShare } from './front.js';
import { openStudyParts, resolveDevices, resolveSpace, type StudyParts } from './parts.js';
import { runStudy } from './run-study.js';
import { parseStudySpec, type StudySpec } from './spec.js';

export interface StudySummary {
  readonly record: StudyRecord;
  readonly budgetTrials: number;
  readonly told: number;
  readonly asked: number;
  readonly complete: number;
  readonly infeasible: number;
  readonly failed: number;
  readonly frontSize: number;
  /** Share of the box between reference and ideal point, 0 to 1; see `hypervolumeShare`. */
  readonly hypervolume: number;
  /** Time left at the pace so far; null before the first trial and when not running. */
  readonly etaMs: number | null;
}

export interface StudyServiceOptions {
  readonly store: Store;
  readonly pool: DevicePool;
  readonly clock: Clock;
  /** The folder that holds spaces/, protocols/, supernets/ and datasets/. */
  readonly profilesDir: string;
  readonly onError?: (error: HildaError, study: StudyId) => void;
}

interface Running {
  readonly abort: AbortController;
  readonly done: Promise<void>;
  readonly startedMs: number;
  readonly toldAtStart: number;
}

/** Starts, stops and answers for studies; each runs on its own until it ends, pauses or fails. */
export class StudyService {
  readonly #options: StudyServiceOptions;
  readonly #running = new Map<StudyId, Running>();

  constructor(options: StudyServiceOptions) {
    this.#options = options;
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
  }

  /** Validates, stores and starts a study. Everything that can be refused is refused here, before the first trial. */
  async create(specification: unknown): Promise<StudyRecord> {
    const { store, profilesDir } = this.#options;
    const spec = await resolveDevices(resolveSpace(parseStudySpec(specification), profilesDir), store);
    const sampler = createSampler(spec.sampler.name, spec.sampler.options);
    const parts = await openStudyParts(spec, profilesDir);
    try {
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
      });
      return await this.#launch(study, spec, parts);
    } catch (error) {
      await parts.evaluator.close();
      throw error;
    }
  }

  list(): Promise<StudyRecord[]> {
    return this.#options.store.studies();
  }

  async show(id: StudyId): Promise<StudySummary> {
    const { store, clock } = this.#options;
    const record = await store.study(id);
    const trials = await store.trials(id);
    const spec = storedSpec(record);
    const count = (state: TrialRecord['state']): number => trials.filter((t) => t.state === state).length;
    const finished = trials.length - count('asked');
    const running = this.#running.get(id);
    const sinceStart = finished - (running?.toldAtStart ?? 0);
    const etaMs =
      running && sinceStart > 0
        ? ((clock.nowMs() - running.startedMs) / sinceStart) * (spec.budget.trials - finished)
        : null;
    return {
      record,
      budgetTrials: spec.budget.trials,
      told: trials.filter((t) => t.told).length,
      asked: count('asked'),
      complete: count('complete'),
      infeasible: count('infeasible'),
      failed: count('failed'),
      frontSize: frontTrials(trials, spec.objectives).length,
      hypervolume: hypervolumeShare(trials, spec),
      etaMs,
    };
  }

  async trials(
    id: StudyId,
    filter?: { readonly fromNumber?: number; readonly limit?: number },
  ): Promise<TrialRecord[]> {
    await this.#options.store.study(id);
    return this.#options.store.trials(id, filter);
  }

  async front(id: StudyId): Promise<FrontRow[]> {
    const { store, profilesDir } = this.#options;
    const spec = storedSpec(await store.study(id));
    const { space, evaluator } = await openStudyParts(spec, profilesDir);
    await evaluator.close();
    return frontRows(await store.trials(id), spec, space, store);
  }

  pause(id: StudyId): Promise<StudyRecord> {
    return this.#halt(id, 'paused', 'paused by the user');
  }

  /** For good: a stopped study keeps its trials and front, and cannot be resumed. */
  stopStudy(id: StudyId): Promise<StudyRecord> {
    return this.#halt(id, 'stopped', 'stopped by the user');
  }

  async resume(id: StudyId): Promise<StudyRecord> {
    const { store, profilesDir } = this.#options;
    const study = await store.study(id);
    if (this.#running.has(id) || (study.state !== 'paused' && study.state !== 'failed')) {
      throw new HildaError('STATE_CONFLICT', `the study ${id} is ${study.state}`, {
        hint: 'Only paused and failed studies can be resumed.',
      });
    }
    const spec = storedSpec(study);
    return this.#launch(study, spec, await openStudyParts(spec, profilesDir));
  }

  async exportTrial(id: StudyId, trialNumber: number): Promise<ExportedTrial> {
    const { store, profilesDir } = this.#options;
    return exportTrial(await store.study(id), trialNumber, store, profilesDir);
  }

  /** Resolves when the study is no longer running here. */
  async settled(id: StudyId): Promise<void> {
    await this.#running.get(id)?.done;
  }

  async #launch(study: StudyRecord, spec: StudySpec, parts: StudyParts): Promise<StudyRecord> {
    const { store, pool, clock, onError } = this.#options;
    const record = await store.setStudyState(study.id, 'running');
    const abort = new AbortController();
    const sampler = createSampler(spec.sampler.name, spec.sampler.options);
    const toldAtStart = (await store.trials(study.id)).filter((t) => t.state !== 'asked').length;
    const onStep = (step: string): void => {
      void store.publish(`study.${study.id}`, { type: 'step', step }).catch(() => {});
    };
    const done = runStudy(
      { ...parts, spec, study, sampler, store, pool, clock, onStep },
      { signal: abort.signal },
    )
      .then(() => store.setStudyState(study.id, 'completed'))
      .catch(async (thrown: unknown) => {
        if (abort.signal.aborted) return;
        const error = asHildaError(thrown);
        onError?.(error, study.id);
        await store.setStudyState(study.id, 'failed', `${error.code}: ${error.message}`).catch(() => {});
      })
      .then(async () => {
        this.#running.delete(study.id);
        await parts.evaluator.close();
      });
    this.#running.set(study.id, { abort, done, startedMs: clock.nowMs(), toldAtStart });
    return record;
  }

  async #halt(
    id: StudyId,
    state: Extract<StudyState, 'paused' | 'stopped'>,
    reason: string,
  ): Promise<StudyRecord> {
    const { store } = this.#options;
    const running = this.#running.get(id);
    if (running) {
      running.abort.abort(new HildaError('INTERRUPTED', reason));
      await running.done;
    }
    const study = await store.study(id);
    if (
      study.state === 'completed' ||
      study.state === 'stopped' ||
      (study.state !== 'running' && state === 'paused')
    ) {
      throw new HildaError('STATE_CONFLICT', `the study ${id} is ${study.state}`);
    }
    return store.setStudyState(id, state, reason);
  }
}

const storedSpec = (record: StudyRecord): StudySpec => parseStudySpec(record.spec);
